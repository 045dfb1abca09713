//! kube-proxy's nftables layout, as `pkg/proxy/nftables/proxier.go` writes it: one verdict map from
//! service addresses to chains, a chain per service that draws a number, a chain per endpoint.

use std::fmt::Write as _;

use super::{
    super::services::{ENDPOINT_PORT, ENDPOINTS, SERVICE_PORT, endpoint, vip},
    PODS,
};

/// Command that loads rules from a file.
pub const LOAD: &[&str] = &["nft", "-f"];

const BASE: &str = "\
\tchain nat-prerouting {
\t\ttype nat hook prerouting priority -100;
\t\tjump services
\t}
\tchain nat-output {
\t\ttype nat hook output priority -100;
\t\tjump services
\t}
\tchain nat-postrouting {
\t\ttype nat hook postrouting priority 100;
\t\tjump masquerading
\t}
\tchain services {
\t\tip daddr . meta l4proto . th dport vmap @service-ips
\t}
\tchain mark-for-masquerade {
\t\tmeta mark set meta mark or 0x4000
\t}
\tchain masquerading {
\t\tmeta mark and 0x4000 == 0 return
\t\tmeta mark set meta mark xor 0x4000
\t\tmasquerade fully-random
\t}
";

/// Returns all rules for this number of services.
pub fn all(services: u32) -> String {
    let mut rules = String::from("table ip kube-proxy {\n");
    for service in 0..services {
        for number in 0..ENDPOINTS {
            let body = endpoint_rules(service, number).join("\n\t\t");
            _ = writeln!(
                rules,
                "\tchain {} {{\n\t\t{body}\n\t}}",
                endpoint_chain(service, number)
            );
        }
        let body = service_rules(service, ENDPOINTS).join("\n\t\t");
        _ = writeln!(rules, "\tchain {} {{\n\t\t{body}\n\t}}", chain(service));
    }
    rules.push_str("\tmap service-ips {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = {\n");
    for service in 0..services {
        _ = writeln!(
            rules,
            "\t\t\t{} . tcp . {SERVICE_PORT} : goto {},",
            vip(service),
            chain(service)
        );
    }
    rules.push_str("\t\t}\n\t}\n");
    rules.push_str(BASE);
    rules.push_str("}\n");
    rules
}

/// Returns the rules that kube-proxy loads when an endpoint is added to a service, which then has
/// `endpoints`, or is removed.
pub fn change(service: u32, endpoints: u32) -> String {
    let chain = chain(service);
    let mut rules = String::new();
    for number in 0..endpoints {
        let to = endpoint_chain(service, number);
        _ = writeln!(
            rules,
            "add chain ip kube-proxy {to}\nflush chain ip kube-proxy {to}"
        );
        for rule in endpoint_rules(service, number) {
            _ = writeln!(rules, "add rule ip kube-proxy {to} {rule}");
        }
    }
    _ = writeln!(rules, "flush chain ip kube-proxy {chain}");
    for rule in service_rules(service, endpoints) {
        _ = writeln!(rules, "add rule ip kube-proxy {chain} {rule}");
    }
    for number in endpoints..ENDPOINTS {
        _ = writeln!(
            rules,
            "delete chain ip kube-proxy {}",
            endpoint_chain(service, number)
        );
    }
    rules
}

fn service_rules(service: u32, endpoints: u32) -> [String; 2] {
    let masquerade = format!(
        "ip daddr {} tcp dport {SERVICE_PORT} ip saddr != {PODS} jump mark-for-masquerade",
        vip(service)
    );
    let choices: Vec<_> = (0..endpoints)
        .map(|number| format!("{number} : goto {}", endpoint_chain(service, number)))
        .collect();
    [
        masquerade,
        format!(
            "numgen random mod {endpoints} vmap {{ {} }}",
            choices.join(", ")
        ),
    ]
}

fn endpoint_rules(service: u32, number: u32) -> [String; 2] {
    let address = endpoint(service, number);
    [
        format!("ip saddr {address} jump mark-for-masquerade"),
        format!("meta l4proto tcp dnat to {address}:{ENDPOINT_PORT}"),
    ]
}

fn chain(service: u32) -> String {
    format!("service-{service:08X}-bench/s{service}/tcp/tcp-80")
}

fn endpoint_chain(service: u32, number: u32) -> String {
    format!(
        "endpoint-{:08X}-bench/s{service}/tcp/tcp-80__{}/{ENDPOINT_PORT}",
        service << 4 | number,
        endpoint(service, number)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_finds_the_service_and_one_number_the_endpoint() {
        let rules = all(3);
        assert!(
            rules.contains("10.96.0.3 . tcp . 80 : goto service-00000002-bench/s2/tcp/tcp-80,")
        );
        assert_eq!(
            rules
                .matches("numgen random mod 10 vmap { 0 : goto endpoint-")
                .count(),
            3
        );
        assert_eq!(rules.matches("dnat to ").count(), 30);
        assert_eq!(rules.matches('{').count(), rules.matches('}').count());
    }

    #[test]
    fn a_change_removes_the_chain_of_what_is_gone() {
        let rules = change(1, 9);
        assert!(rules.contains("numgen random mod 9 vmap"));
        assert!(rules.trim_end().ends_with(&format!(
            "delete chain ip kube-proxy {}",
            endpoint_chain(1, 9)
        )));
        assert!(!change(1, 10).contains("delete"));
    }
}
