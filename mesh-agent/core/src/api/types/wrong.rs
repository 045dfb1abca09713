//! Parts of the configuration that are not in force as written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{self, Effect, Scope};

/// An object, file or directory with an error, and what is in force instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wrong {
    /// File or directory, or the object of a cluster: `Service shop/cart`.
    pub file: String,
    /// Line, from one; 0 for an object of a cluster.
    pub line: u32,
    /// The object: `service shop/cart`, `the file`.
    pub name: String,
    /// `object`, `file` or `directory`.
    pub scope: String,
    /// What is in force: `lastGood`, its last good version; `rest`, objects that the file no longer
    /// has; `other`, another definition of the service; `part`, the object without its invalid parts;
    /// `kernel`, what an earlier agent left in the kernel; `nothing`.
    pub in_force: String,
    /// What is in force, as a sentence.
    pub effect: String,
}

impl Wrong {
    /// Converts the error of a source. `in_kernel` means that the kernel holds the rows that an earlier
    /// agent made of the object.
    pub fn new(wrong: &model::Wrong, in_kernel: bool) -> Self {
        let model::Wrong {
            origin,
            name,
            scope,
            effect,
        } = wrong;
        let kernel = (*effect == Effect::LeftOut && in_kernel).then(|| {
            (
                "kernel",
                "what an earlier agent made of it stays in the kernel".to_owned(),
            )
        });
        let (in_force, effect) = kernel.unwrap_or_else(|| (in_force(effect), effect.to_string()));
        Self {
            file: origin.document().display().to_string(),
            line: origin.line(),
            name: name.clone(),
            scope: scope_name(*scope).to_owned(),
            in_force: in_force.to_owned(),
            effect,
        }
    }
}

impl fmt::Display for Wrong {
    /// `file:line: name: effect`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            name,
            effect,
            ..
        } = self;
        write!(f, "{}: {name}: {effect}", model::place(file, *line))
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Object => "object",
        Scope::File => "file",
        Scope::Directory => "directory",
    }
}

fn in_force(effect: &Effect) -> &'static str {
    match effect {
        Effect::Kept => "lastGood",
        Effect::Rest(_) => "rest",
        Effect::Other(_) => "other",
        Effect::Part => "part",
        Effect::LeftOut => "nothing",
    }
}
