//! What the acts have in common: a step is told, clients ask, and what was promised is compared
//! with what came.

use super::{
    agent, client, interrupt::Interrupt, site::Site, tally::Tally, tell::Tell, traffic::Answer,
};

/// What every act needs.
pub struct Stage<'a> {
    pub site: &'a Site,
    pub interrupt: &'a Interrupt,
    pub tell: &'a mut Tell,
    /// Connects to `catalog` that clients made so far.
    pub catalog_connects: u64,
}

impl Stage<'_> {
    /// The next step, unless the user has had enough.
    pub fn act(&mut self, sentence: &str) -> anyhow::Result<()> {
        self.interrupt.check()?;
        self.tell.step(sentence);
        Ok(())
    }

    /// Shows the command and how often each endpoint answered.
    pub fn curl(&mut self, service: &str, times: u32) -> anyhow::Result<Tally> {
        self.tell
            .command(&format!("curl http://{service}/?[1-{times}]"));
        let answers = client::curl(self.site, service, times)?;
        self.tell.lines(answers.bars());
        Ok(answers)
    }

    /// Connects to `catalog` that the kernel counted.
    pub fn counted(&self) -> anyhow::Result<u64> {
        agent::counted_connects(self.site, "catalog")
    }

    /// Promises that every request was answered, and by how many endpoints.
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

    /// Promises that traffic did not notice.
    pub fn expect_no_failure(&mut self, answers: &[Answer], when: &str) {
        let failed = answers.iter().filter(|answer| answer.from.is_err()).count();
        let fact = format!("{} connects {when}, {failed} failed", answers.len());
        self.tell.expect(failed == 0 && !answers.is_empty(), &fact);
    }
}
