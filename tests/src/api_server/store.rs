//! The objects of a cluster, with their versions and what happened to them.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// Plural name in paths, namespace, name.
pub type Name = (&'static str, String, String);

/// An event of a watch.
#[derive(Clone)]
pub struct Event {
    pub version: u64,
    pub resource: &'static str,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub kind: &'static str,
    pub object: Value,
}

/// All objects, and the events since the oldest version that a watch may start from.
#[derive(Default)]
pub struct Store {
    version: u64,
    oldest: u64,
    objects: BTreeMap<Name, Value>,
    events: VecDeque<Event>,
}

impl Store {
    /// Returns the version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Creates or replaces an object.
    pub fn put(&mut self, mut object: Value) {
        let name = name(&object);
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let kind = match self.objects.insert(name.clone(), object.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.note(name.0, kind, object);
    }

    /// Deletes an object.
    pub fn delete(&mut self, object: &Value) {
        let name = name(object);
        let mut object = self.objects.remove(&name).expect("the object exists");
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(name.0, "DELETED", object);
    }

    fn note(&mut self, resource: &'static str, kind: &'static str, object: Value) {
        self.events.push_back(Event {
            version: self.version,
            resource,
            kind,
            object,
        });
    }

    /// Forgets all events: a watch can only start from the present version.
    pub fn compact(&mut self) {
        // A watch that is at the last version is too old as well.
        self.version += 1;
        self.oldest = self.version;
        self.events.clear();
    }

    /// Returns the events after a version; nothing if they are forgotten.
    pub fn since(&self, resource: &str, version: u64) -> Option<Vec<Event>> {
        let is_new = |it: &&Event| it.version > version && it.resource == resource;
        (version >= self.oldest).then(|| self.events.iter().filter(is_new).cloned().collect())
    }

    /// Returns all objects of a resource.
    pub fn list(&self, resource: &str) -> Vec<Value> {
        let ours = self.objects.iter().filter(|((of, ..), _)| *of == resource);
        ours.map(|(_, object)| object.clone()).collect()
    }
}

fn name(object: &Value) -> Name {
    let text = |field: &str| {
        let text = object["metadata"][field].as_str();
        text.expect("an object has a name and a namespace")
            .to_owned()
    };
    let resource = match object["kind"].as_str() {
        Some("Service") => "services",
        Some("EndpointSlice") => "endpointslices",
        other => panic!("{other:?}"),
    };
    (resource, text("namespace"), text("name"))
}

/// Returns the answer to a request that failed.
pub fn failure(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("{reason} (made up)"),
        "reason": reason,
        "code": code,
    })
}
