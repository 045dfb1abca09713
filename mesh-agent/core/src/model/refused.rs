//! Refused parts of the configuration: the errors, and what is in force instead.

use super::{
    service::Service,
    update::{ConfigError, Update},
    wrong::{Effect, Wrong},
};

/// Errors and the services that they are about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refused {
    /// What is refused, with the reason.
    pub errors: Vec<ConfigError>,
    /// Services that are not in force as written.
    pub wrong: Vec<Wrong>,
    /// Number of further errors, which are not listed.
    pub more: usize,
}

impl Refused {
    /// Adds an error of a service; the field may be empty.
    pub fn add(
        &mut self,
        service: &Service,
        field: impl Into<String>,
        reason: String,
        effect: Effect,
    ) {
        let error = ConfigError {
            origin: service.origin.clone(),
            field: field.into(),
            reason,
        };
        self.add_error(service, error, effect);
    }

    /// Adds an error of a service. A service with several consecutive errors is listed once.
    pub fn add_error(&mut self, service: &Service, error: ConfigError, effect: Effect) {
        self.errors.push(error);
        let wrong = Wrong::service(service, effect);
        if self.wrong.last() != Some(&wrong) {
            self.wrong.push(wrong);
        }
    }

    /// Returns the number of all errors.
    pub fn errors_total(&self) -> usize {
        self.errors.len() + self.more
    }

    /// Moves errors and refused services into an update.
    pub fn tell(self, update: &mut Update) {
        update.errors_total += self.errors_total();
        update.errors.extend(self.errors);
        update.wrong.extend(self.wrong);
        update.wrong.sort_unstable();
        update.wrong.dedup();
    }
}
