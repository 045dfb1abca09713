//! The file that keeps the objects of a cluster for the next agent: one JSON object in each line.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kube::api::DynamicObject;

use super::{Cluster, object};
use crate::{
    private_files,
    source::{Key, Kind, cluster::ClusterReader},
};

/// The state file of one cluster.
#[derive(Clone, Debug)]
pub struct State(PathBuf);

impl State {
    /// Names the file in the state directory.
    pub fn new(directory: &Path, cluster: &Cluster) -> Self {
        let name = match &cluster.name {
            Some(name) => format!("cluster-{name}.json"),
            None => "cluster.json".to_owned(),
        };
        Self(directory.join(name))
    }

    /// Returns the text of the file.
    pub fn text(reader: &ClusterReader) -> Vec<u8> {
        let mut text = Vec::new();
        for (_, json) in reader.texts() {
            text.extend_from_slice(json);
            text.push(b'\n');
        }
        text
    }

    /// Writes the file.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        private_files::replace(&self.0, text)
    }

    /// Returns the objects of the file; none if there is no file. A damaged line is left out.
    pub fn read(&self) -> io::Result<Vec<(Key, Vec<u8>)>> {
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        Ok(text
            .split(|byte| *byte == b'\n')
            .filter_map(parse)
            .collect())
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn parse(line: &[u8]) -> Option<(Key, Vec<u8>)> {
    let object: DynamicObject = serde_json::from_slice(line).ok()?;
    let kind = match object.types.as_ref()?.kind.as_str() {
        "Service" => Kind::Service,
        "EndpointSlice" => Kind::EndpointSlice,
        _ => return None,
    };
    Some((object::key(&object, kind)?, line.to_vec()))
}
