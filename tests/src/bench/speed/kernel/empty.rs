//! Attaches empty programs to the agent's hooks, to measure the cost that every program has.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use aya::programs::loaded_programs;

use super::{stats::Programs, sys};
use crate::cgroup::Cgroup;

/// Name of the hook, program type and attach type (`enum bpf_prog_type`, `enum bpf_attach_type`).
const HOOKS: [(&str, u32, u32); 3] = [
    ("connect4", 18, 10),
    ("sock_ops", 13, 3),
    ("sock_release", 9, 34),
];

/// `r0 = 1`, `exit`
const RETURN_1: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

/// Empty programs, attached until dropped.
pub struct Empty {
    programs: Vec<(&'static str, u32)>,
    _held: Vec<OwnedFd>,
}

impl Empty {
    /// Attaches one program for each hook that a TCP connection passes.
    pub fn attach(cgroup: &Cgroup) -> Self {
        let directory = File::open(cgroup.path()).expect("the cgroup is there");
        let (mut programs, mut held) = (Vec::new(), Vec::new());
        for (name, kind, attach) in HOOKS {
            let own = format!("bench_{:x}_{}", std::process::id(), &name[..3]);
            let program = sys::load(kind, attach, &own, &RETURN_1)
                .expect("root may load a program that returns");
            let link = sys::attach(program.as_fd(), directory.as_fd(), attach);
            held.push(link.expect("a program can be attached beside others"));
            let found = loaded_programs()
                .flatten()
                .filter(|it| it.name_as_str() == Some(own.as_str()));
            programs.push((name, found.last().expect("it was just loaded").id()));
            held.push(program);
        }
        Self {
            programs,
            _held: held,
        }
    }

    /// Returns the ids of the programs, by hook.
    pub fn programs(&self) -> Programs {
        Programs::new(
            self.programs
                .iter()
                .map(|(name, id)| ((*name).to_owned(), *id)),
        )
    }
}
