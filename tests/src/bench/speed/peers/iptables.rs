//! kube-proxy's iptables layout, as `pkg/proxy/iptables/proxier.go` writes it: one rule per service
//! in KUBE-SERVICES, which each new connection is matched against in order; a chain per service; a
//! chain per endpoint.

use std::fmt::Write as _;

use super::{
    super::services::{ENDPOINT_PORT, ENDPOINTS, SERVICE_PORT, endpoint, vip},
    PODS,
};

/// Command that loads rules. Debian's plain `iptables-restore` would translate them to nftables.
pub const RESTORE: &[&str] = &["iptables-legacy-restore"];

/// Command that replaces some of the rules.
pub const RESTORE_SOME: &[&str] = &["iptables-legacy-restore", "--noflush"];

/// Rules that do not depend on services.
const HEAD: &str = "\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
";

const BODY: &str = "\
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
";

const TAIL: &str = "\
-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" \
-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
";

/// Returns all rules for this number of services.
pub fn all(services: u32) -> String {
    let mut rules = String::from(HEAD);
    (0..services).for_each(|service| chains(&mut rules, service, ENDPOINTS));
    rules.push_str(BODY);
    for service in 0..services {
        portal(&mut rules, service);
        one(&mut rules, service, ENDPOINTS);
    }
    rules.push_str(TAIL);
    rules
}

/// Returns the rules that kube-proxy loads when the endpoints of a service change: the chains of that
/// service.
pub fn change(service: u32, endpoints: u32) -> String {
    let mut rules = String::from("*nat\n");
    chains(&mut rules, service, endpoints);
    one(&mut rules, service, endpoints);
    rules.push_str("COMMIT\n");
    rules
}

fn chains(rules: &mut String, service: u32, endpoints: u32) {
    _ = writeln!(rules, ":{} - [0:0]", chain(service));
    (0..endpoints)
        .for_each(|number| _ = writeln!(rules, ":{} - [0:0]", endpoint_chain(service, number)));
}

fn portal(rules: &mut String, service: u32) {
    let (name, vip, chain) = (name(service), vip(service), chain(service));
    _ = writeln!(
        rules,
        "-A KUBE-SERVICES -m comment --comment \"{name} cluster IP\" -m tcp -p tcp -d {vip}/32 --dport {SERVICE_PORT} \
         -j {chain}"
    );
}

fn one(rules: &mut String, service: u32, endpoints: u32) {
    let (name, vip, chain) = (name(service), vip(service), chain(service));
    _ = writeln!(
        rules,
        "-A {chain} -m comment --comment \"{name} cluster IP\" -m tcp -p tcp -d {vip}/32 --dport {SERVICE_PORT} \
         ! -s {PODS} -j KUBE-MARK-MASQ"
    );
    for number in 0..endpoints {
        let (address, to) = (endpoint(service, number), endpoint_chain(service, number));
        let chance = match endpoints - number {
            1 => String::new(),
            left => format!(
                "-m statistic --mode random --probability {:.10} ",
                1.0 / f64::from(left)
            ),
        };
        _ = writeln!(
            rules,
            "-A {chain} -m comment --comment \"{name} -> {address}:{ENDPOINT_PORT}\" {chance}-j {to}"
        );
        _ = writeln!(
            rules,
            "-A {to} -m comment --comment {name} -s {address}/32 -j KUBE-MARK-MASQ"
        );
        let dnat = format!("-m tcp -p tcp -j DNAT --to-destination {address}:{ENDPOINT_PORT}");
        _ = writeln!(rules, "-A {to} -m comment --comment {name} {dnat}");
    }
}

fn name(service: u32) -> String {
    format!("bench/s{service}:tcp-80")
}

/// Returns a name like those of kube-proxy, which end in a hash of 16 letters and digits.
fn chain(service: u32) -> String {
    format!("KUBE-SVC-{service:016X}")
}

fn endpoint_chain(service: u32, number: u32) -> String {
    format!(
        "KUBE-SEP-{:016X}",
        u64::from(service) << 8 | u64::from(number)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(rules: &'a str, with: &str) -> Vec<&'a str> {
        rules.lines().filter(|line| line.contains(with)).collect()
    }

    #[test]
    fn a_connection_walks_the_services_in_order() {
        let rules = all(3);
        let portals = lines(&rules, "-A KUBE-SERVICES");
        assert!(
            portals[0].contains("-d 10.96.0.1/32") && portals[2].contains("-d 10.96.0.3/32"),
            "{portals:?}"
        );
        assert!(portals[3].ends_with("-j KUBE-NODEPORTS"));
    }

    #[test]
    fn every_endpoint_has_the_same_chance() {
        let rules = change(7, 3);
        let choices: Vec<_> = lines(&rules, "-j KUBE-SEP-");
        let chance = |line: &str| {
            line.split("--probability ")
                .nth(1)
                .map(|rest| rest[..6].to_owned())
        };
        assert_eq!(
            choices.iter().map(|line| chance(line)).collect::<Vec<_>>(),
            [Some("0.3333".into()), Some("0.5000".into()), None]
        );
    }

    #[test]
    fn every_chain_that_is_jumped_to_is_declared() {
        let rules = all(2);
        for target in rules
            .lines()
            .filter_map(|line| line.split(" -j ").nth(1))
            .filter(|it| it.starts_with("KUBE-"))
        {
            assert!(rules.contains(&format!(":{target} - ")), "{target}");
        }
        assert_eq!(lines(&rules, "DNAT").len(), 20);
    }
}
