//! What the steps have in common: each prints a sentence, connects clients, and compares the results
//! with the expected ones.

use super::{
    agent, client, interrupt::Interrupt, site::Site, tally::Tally, tell::Tell, traffic::Answer,
};

/// What every step needs.
pub struct Stage<'a> {
    pub site: &'a Site,
    pub interrupt: &'a Interrupt,
    pub tell: &'a mut Tell,
    /// Number of connects to `catalog` so far.
    pub catalog_connects: u64,
}

impl Stage<'_> {
    /// Starts the next step. Fails when the demo was interrupted.
    pub fn act(&mut self, sentence: &str) -> anyhow::Result<()> {
        self.interrupt.check()?;
        self.tell.step(sentence);
        Ok(())
    }

    /// Connects with curl; prints the command, and how often each endpoint answered.
    pub fn curl(&mut self, service: &str, times: u32) -> anyhow::Result<Tally> {
        self.tell
            .command(&format!("curl http://{service}/?[1-{times}]"));
        let answers = client::curl(self.site, service, times)?;
        self.tell.lines(answers.bars());
        Ok(answers)
    }

    /// Returns the connects to `catalog` that the kernel counted.
    pub fn counted(&self) -> anyhow::Result<u64> {
        agent::counted_connects(self.site, "catalog")
    }

    /// Expects that every request was answered, by this number of endpoints.
    pub fn expect_all(&mut self, answers: &Tally, times: u32, endpoints: usize) {
        let holds = answers.total() == u64::from(times) && answers.names() == endpoints;
        self.tell.expect(
            holds,
            &format!(
                "{} of {times} answered, by {} endpoints",
                answers.total(),
                answers.names()
            ),
        );
    }

    /// Expects that no connect of the traffic failed.
    pub fn expect_no_failure(&mut self, answers: &[Answer], when: &str) {
        let failed = answers.iter().filter(|answer| answer.from.is_err()).count();
        let fact = format!("{} connects {when}, {failed} failed", answers.len());
        self.tell.expect(failed == 0 && !answers.is_empty(), &fact);
    }
}
