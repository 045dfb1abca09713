//! The daemon's own settings. A flag takes precedence over the environment, the environment over
//! the file, and the file over the default.
//!
//! ```text
//! flags, environment ──► given ──┬──► settings
//! file ────────────────► given ──┘
//! ```

mod bounds;
mod clusters;
mod confinement;
mod empty;
mod error;
mod file;
#[cfg(test)]
mod fixture;
mod given;
mod health_checks;
mod settings;
mod text;

use std::path::PathBuf;

use clap::Args;

pub use self::{
    error::SettingsError, given::Given, health_checks::HealthChecks, settings::Settings,
};

/// Flags about the settings.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Settings file, YAML: flags except --log, with camelCase names [default:
    /// /etc/mesh-agent/agent.yaml, if it exists]
    #[arg(long, env = "MESH_CONFIG", value_name = "FILE", value_parser = text::path())]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub given: Given,
}

impl Flags {
    /// Reads the file and fills in absent settings.
    pub fn resolve(self) -> Result<Settings, SettingsError> {
        let (file, mut wrong) = file::given(self.config.as_deref());
        wrong.extend(self.given.wrong());
        let settings = settings::complete(self.given.or(file), &mut wrong);
        settings
            .filter(|_| wrong.is_empty())
            .ok_or(SettingsError(wrong))
    }
}

#[cfg(test)]
mod tests;
