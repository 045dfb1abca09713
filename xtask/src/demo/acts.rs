//! The steps of the demo.

use std::time::{Duration, Instant};

use super::{
    agent::{self, Agent},
    client,
    interrupt::Interrupt,
    shop::{self, Shop},
    site::Site,
    stage::Stage,
    tally::Tally,
    tell::Tell,
    traffic::Traffic,
};
use crate::run;

/// Number of connects of each distribution that is shown.
const TIMES: u32 = 300;
/// Time for which traffic is observed after a change.
const WATCH: Duration = Duration::from_secs(1);

/// Runs all steps. When it returns, all processes that it started have ended, but programs and maps
/// are still in the kernel.
pub fn play(site: &Site, interrupt: &Interrupt, tell: &mut Tell, keep: bool) -> anyhow::Result<()> {
    let mut stage = Stage {
        site,
        interrupt,
        tell,
        catalog_connects: 0,
    };
    let mut shop = stage.open_shop()?;
    let first_agent = stage.start_agent()?;
    stage.spread()?;
    stage.spread_ipv6()?;
    stage.weights()?;
    stage.datagrams()?;
    stage.refusal()?;
    let mut traffic = Traffic::start(site, &format!("{}:80", shop::CATALOG))?;
    stage.endpoint_dies(&mut shop, &mut traffic)?;
    let agent = stage.agent_dies(first_agent, &mut traffic)?;
    stage.books_balance(traffic)?;
    stage.look()?;
    if keep {
        stage.keep(&agent);
    }
    Ok(())
}

impl Stage<'_> {
    fn open_shop(&mut self) -> anyhow::Result<Shop> {
        self.tell
            .step("A small shop opens: its endpoints listen on loopback addresses.");
        let shop = Shop::open()?;
        let services = shop::endpoints().into_iter();
        self.tell.lines(
            services.map(|(service, addresses)| format!("{service:<9} {}", addresses.join("  "))),
        );
        Ok(shop)
    }

    fn start_agent(&mut self) -> anyhow::Result<Agent> {
        self.act("The agent reads deploy/example and fills the maps of its kernel programs.")?;
        let (agent, took) = Agent::start(self.site, self.interrupt)?;
        self.tell
            .expect(true, &format!("ready after {}", milliseconds(took)));
        Ok(agent)
    }

    fn spread(&mut self) -> anyhow::Result<()> {
        self.act("Nothing listens on 10.96.0.10; curl asks it anyway.")?;
        let ipv4 = self.curl(shop::CATALOG, TIMES)?;
        self.expect_all(&ipv4, TIMES, 3);
        let peer = client::curl_peer(self.site, shop::CATALOG)?;
        self.catalog_connects += ipv4.total() + 1;
        self.tell.expect(
            peer == "10.96.0.10 port 80",
            &format!("curl sees its peer as {peer}"),
        );
        Ok(())
    }

    fn spread_ipv6(&mut self) -> anyhow::Result<()> {
        self.act("The same service over IPv6, with its own endpoints.")?;
        if !shop::has_ipv6() {
            self.tell.lines(["left out: this machine has no IPv6"]);
            return Ok(());
        }
        let ipv6 = self.curl(shop::CATALOG_V6, TIMES)?;
        self.expect_all(&ipv6, TIMES, 2);
        self.catalog_connects += ipv6.total();
        Ok(())
    }

    fn weights(&mut self) -> anyhow::Result<()> {
        self.act("Checkout is written in the native form, with weights 1 : 2 : 7.")?;
        let answers = self.curl(shop::CHECKOUT, 2 * TIMES)?;
        let whole: u64 = shop::CHECKOUT_WEIGHTS
            .iter()
            .map(|(_, weight)| weight)
            .sum();
        let fair = shop::CHECKOUT_WEIGHTS
            .iter()
            .all(|(name, weight)| is_near(&answers, name, *weight, whole));
        self.tell.expect(
            fair,
            &format!("{} connects, shared by weight", answers.total()),
        );
        Ok(())
    }

    fn datagrams(&mut self) -> anyhow::Result<()> {
        self.act("UDP works the same way; this client is bash.")?;
        self.tell
            .command("exec 3<>/dev/udp/10.96.0.30/9000; echo how many >&3; head -n 1 <&3");
        let answers = client::udp(self.site, shop::STOCK, 100)?;
        self.tell.lines(answers.bars());
        self.expect_all(&answers, 100, 2);
        Ok(())
    }

    fn refusal(&mut self) -> anyhow::Result<()> {
        self.act("Payments has no endpoint: no client waits for a timeout.")?;
        let took = client::curl_refused(self.site, shop::PAYMENTS)?;
        self.tell.expect(
            took < Duration::from_millis(100),
            &format!("refused after {}", milliseconds(took)),
        );
        Ok(())
    }

    fn endpoint_dies(&mut self, shop: &mut Shop, traffic: &mut Traffic) -> anyhow::Result<()> {
        let (name, line) = shop::VICTIM;
        self.act(&format!(
            "Traffic runs without pause from here on. {name} dies, and its line leaves the file."
        ))?;
        self.interrupt.wait(WATCH / 2)?;
        let died = Instant::now();
        shop.close(name);
        self.site.edit("catalog.yaml", |text| without(text, line))?;
        let edited = Instant::now();
        self.interrupt.wait(WATCH)?;

        let answers = traffic.since(died);
        let mut failed = answers.iter().filter(|answer| answer.from.is_err());
        let (count, last) = (
            failed.clone().count(),
            failed.next_back().map_or(edited, |answer| answer.at),
        );
        let settled = last.saturating_duration_since(edited);
        let fact = match count {
            0 => "no connect met the dead endpoint".to_owned(),
            _ => format!(
                "{count} connects met the dead endpoint, the last {} after the edit",
                milliseconds(settled)
            ),
        };
        let now: Tally = answers
            .iter()
            .filter(|answer| answer.at > last)
            .flat_map(|answer| answer.from.clone())
            .collect();
        self.tell.lines(now.bars());
        self.tell
            .expect(settled < WATCH / 2 && now.names() == 2, &fact);
        Ok(())
    }

    fn agent_dies(&mut self, agent: Agent, traffic: &mut Traffic) -> anyhow::Result<Agent> {
        self.act(&format!("The agent is killed: kill -9 {}.", agent.pid()))?;
        let counted = self.counted()?;
        let killed = Instant::now();
        agent.kill()?;
        self.interrupt.wait(WATCH)?;
        self.expect_no_failure(traffic.since(killed), "without an agent");

        self.act("It comes back, takes over what runs, and counters go on where they were.")?;
        let restarted = Instant::now();
        let (agent, took) = Agent::start(self.site, self.interrupt)?;
        self.interrupt.wait(WATCH / 2)?;
        self.expect_no_failure(traffic.since(restarted), "during the restart");
        let now = self.counted()?;
        let fact = format!(
            "ready after {}; connects to catalog: {counted} before, {now} now",
            milliseconds(took)
        );
        self.tell.expect(now > counted, &fact);
        Ok(agent)
    }

    fn books_balance(&mut self, traffic: Traffic) -> anyhow::Result<()> {
        self.act("Traffic stops. What the clients did and what the kernel counted is the same.")?;
        self.catalog_connects += u64::try_from(traffic.finish()?)?;
        let (done, counted) = (self.catalog_connects, self.counted()?);
        self.tell.expect(
            done == counted,
            &format!("clients connected {done} times to catalog, the kernel counted {counted}"),
        );
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.act("The command line shows it all.")?;
        for arguments in [&["service", "list"][..], &["stats"]] {
            self.tell
                .command(&format!("meshctl {}", arguments.join(" ")));
            self.tell
                .lines(run::read(&mut agent::meshctl(self.site, arguments))?.lines());
        }
        Ok(())
    }

    fn keep(&mut self, agent: &Agent) {
        self.tell.step(&format!(
            "The agent (process {}) stays up. Try it from another terminal:",
            agent.pid()
        ));
        let meshctl = run::line(&agent::meshctl(self.site, &[]));
        for arguments in [
            "status",
            "service list",
            "stats",
            "service get -n shop catalog",
        ] {
            self.tell.command(&format!("{meshctl} {arguments}"));
        }
        self.tell.command(&client::inside_line(
            self.site,
            "curl http://10.96.0.20/?[1-20]",
        ));
        self.tell
            .command(&format!("edit {}/*.yaml", self.site.services().display()));
        self.tell.lines(["Ctrl-C ends it and removes everything."]);
        self.interrupt.wait_for_it();
    }
}

/// Returns whether the share of an endpoint differs by less than 0.1 from that of its weight. Five
/// standard deviations of 600 connects are less than that.
fn is_near(answers: &Tally, name: &str, weight: u64, whole: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "weights of a demo")]
    let promised = weight as f64 / whole as f64;
    (answers.share(name) - promised).abs() < 0.1
}

fn without(text: &str, part: &str) -> String {
    text.lines()
        .filter(|line| !line.contains(part))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", 1e3 * duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_out_whole() {
        assert_eq!(without("a\nb 1\nc\n", "1"), "a\nc\n");
    }
}
