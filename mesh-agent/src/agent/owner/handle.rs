//! Handles events: records what each says, and brings the data plane one step closer to it.

use std::{sync::Arc, time::Duration};

use tracing::info;

use super::Owner;
use crate::{
    agent::{
        change_log,
        event::{Answer, Command, Effects, Event, NodeState, Trim},
    },
    api::view::Refusal,
    dataplane::Dataplane,
    source::{SourceUpdate, merge::merge},
};

impl<D: Dataplane> Owner<D> {
    /// Handles an event, and returns what follows. `now` is the monotonic clock.
    pub(in crate::agent) fn handle(&mut self, event: Event, now: Duration) -> Effects {
        let mut effects = Effects::default();
        let checks = Arc::clone(&self.checks.wanted);
        let is_command = matches!(event, Event::Command(_));
        let is_new = match event {
            Event::Source(update) => {
                effects.trim = Trim::WhenIdle;
                self.accept_source(update)
            }
            Event::SourceEnded { source, reason } => self.note_ended(&source, &reason),
            Event::Health(report) => self.take_report(&report),
            Event::Command(command) => {
                effects.answer = self.execute(&command, now).err().map(Err);
                effects.answer.is_none()
            }
            Event::Node(state) => self.take_node(state),
            Event::Resync => {
                (effects.trim, effects.close_all) = (Trim::Now, true);
                self.resync();
                true
            }
            Event::Tick => true,
        };
        if is_new {
            self.step(now, &mut effects);
            if is_command {
                effects.answer = Some(self.answer());
            }
        }
        effects.checks = (checks != self.checks.wanted).then(|| Arc::clone(&self.checks.wanted));
        effects.wake = self.wake;
        effects
    }

    fn step(&mut self, now: Duration, effects: &mut Effects) {
        self.wake = self.reconcile(now).map(|wait| now + wait);
        effects.attach = !self.attached && self.is_filled();
        self.attached |= effects.attach;
        effects.publish = true;
        effects.close = self.take_removed_backends();
    }

    /// Returns whether the maps hold what the programs need. Programs never run on empty maps. When
    /// they replace the maps of an earlier agent, an incomplete update is not enough, because the
    /// earlier maps may have what is missing; nor are smaller maps that cannot hold all services.
    fn is_filled(&self) -> bool {
        let has_gaps = self.replaces.other && !self.is_complete();
        let is_short = self.replaces.larger && !self.has_capacity();
        self.is_applied() && !has_gaps && !is_short
    }

    /// Takes the update of a source, merges it with the others, and logs what changes.
    fn accept_source(&mut self, update: SourceUpdate) -> bool {
        let source = Arc::clone(&update.source);
        match &update.problem {
            Some(problem) => {
                let problem = format!("source {source}: {problem}");
                self.problems.sources.insert(Arc::clone(&source), problem);
            }
            None => _ = self.problems.sources.remove(&source),
        }
        self.sources.insert(source, update);
        let updates: Vec<&SourceUpdate> = self.sources.values().collect();
        let (mut merged, holdings) = merge(&updates, &self.world.admission, &self.holdings);
        let mut names = self.source_names.iter();
        merged.complete &= names.all(|name| self.sources.contains_key(name));
        self.holdings = holdings;
        let before = self.accepted.then(|| self.world.services.clone());
        self.accept(merged);
        let after = &self.world.services;
        match before {
            Some(before) => change_log::log_changes(&before, after),
            None => {
                info!(services = after.len(), "configuration read");
                change_log::log_changes_since(&self.current, &self.world);
            }
        }
        true
    }

    /// Records that a source ended. Its services stay as they are.
    fn note_ended(&mut self, source: &Arc<str>, reason: &str) -> bool {
        let problem = format!(
            "source {source} ended, so its services stay as they are; it is started again: {reason}"
        );
        self.problems.sources.insert(Arc::clone(source), problem);
        true
    }

    fn execute(&mut self, command: &Command, now: Duration) -> Result<(), Refusal> {
        let (change, by, endpoint) = (command.change, command.line(), command.endpoint());
        let service = &command.target.service;
        let result = self.change_endpoint(&command.target, change, command.force, now);
        match &result {
            Ok(()) => info!(%service, %endpoint, by, "endpoint: {change}"),
            Err(refusal) => info!(%service, %endpoint, by, "command refused: {refusal}"),
        }
        result
    }

    /// Returns whether the data plane has applied the last command, with a warning when the next
    /// agent would not know of it.
    fn answer(&self) -> Answer {
        if self.is_applied() {
            return Ok(self.unwritten_overrides());
        }
        Err(Refusal::Failed(
            "the command is recorded but the kernel does not have it yet; see `meshctl status`"
                .to_owned(),
        ))
    }

    /// Records the state of the node; returns whether anything changed.
    fn take_node(&mut self, state: NodeState) -> bool {
        let NodeState {
            addresses,
            excluded,
            links,
        } = state;
        let problems = (&self.problems.excluded, &self.problems.links);
        let has_news = problems != (&excluded, &links);
        (self.problems.excluded, self.problems.links) = (excluded, links);
        let name = self.world.node_name.clone();
        let moved = addresses.is_some_and(|addresses| self.set_node(&name, addresses));
        if moved {
            let addresses = self.world.node_addresses.len();
            info!(
                addresses,
                "addresses of this node changed; node ports follow"
            );
        }
        has_news | moved
    }
}
