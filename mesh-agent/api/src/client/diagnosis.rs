//! Requests for diagnosis and bug reports.

use std::path::Path;

use super::{Client, Error};
use crate::types::{Diagnosis, Support};

impl Client {
    /// Returns the socket of the agent.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns what is wrong with the agent and its node.
    pub async fn doctor(&self) -> Result<Diagnosis, Error> {
        self.get("/v1/doctor").await
    }

    /// Returns what else a bug report needs.
    pub async fn support(&self) -> Result<Support, Error> {
        self.get("/v1/support").await
    }
}
