//! `SourceUpdate`: a whole snapshot of what a source configures.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use super::{contents::Contents, object::Kind, service_dir::Source};
use crate::model::{ConfigError, ConfigNote, LeftOut, ServiceName, Services, Wrong};

/// Numbers by file.
pub type ByFile = HashMap<Arc<PathBuf>, usize>;

/// A whole snapshot of one source. It may be lost or repeated without harm.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceUpdate {
    /// Name of the source.
    pub source: Arc<str>,
    /// All services, by the cluster that they are of.
    pub services: BTreeMap<Source, Definitions>,
    /// False while services that are missing here may exist. They must not be removed then.
    pub complete: bool,
    /// Services with an object that is left out, and the kind of that object.
    pub missing: Vec<(ServiceName, Kind)>,
    /// Errors.
    pub errors: Vec<ConfigError>,
    /// How many more errors there are in each file.
    pub more_errors: ByFile,
    /// What is not in force as it is written, and what is in force instead.
    pub wrong: Vec<Wrong>,
    /// Notes about what is left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// Why the source cannot be read at present, if so. What it sent before stays in force.
    pub problem: Option<String>,
}

/// The services of one cluster, as one source defines them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Definitions {
    /// Services.
    pub services: Services,
    /// Services whose endpoints are unknown.
    pub bare: BTreeSet<ServiceName>,
    /// Services that are left alone.
    pub left_out: BTreeMap<ServiceName, LeftOut>,
    /// Notes about objects that are not used.
    pub notes: Vec<ConfigNote>,
    /// The files in force, for the lines of endpoints.
    pub files: Vec<Arc<Contents>>,
}

impl SourceUpdate {
    /// Returns a complete update with these services of the local cluster.
    pub fn of(services: Services) -> Self {
        let definitions = Definitions {
            services,
            ..Definitions::default()
        };
        Self {
            services: [(None, definitions)].into(),
            complete: true,
            ..Self::default()
        }
    }
}
