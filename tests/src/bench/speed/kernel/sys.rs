//! Two `bpf(2)` calls that aya has only for programs from object files.
//!
//! Numbers and layouts are those of `include/uapi/linux/bpf.h`, `union bpf_attr`, which never
//! change.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use bytemuck::{Pod, Zeroable};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;

/// The head of the attributes of `BPF_PROG_LOAD`, up to `expected_attach_type`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// Loads a program of 64-bit instructions, in this machine's byte order.
pub fn load(kind: u32, attach: u32, name: &str, instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    let mut attr = ProgLoad::zeroed();
    attr.prog_type = kind;
    attr.insn_cnt = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    attr.insns = instructions.as_ptr() as u64;
    attr.license = license.as_ptr() as u64;
    attr.expected_attach_type = attach;
    for (to, from) in attr.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bpf(BPF_PROG_LOAD, &mut attr)
}

/// Attaches it to a cgroup, beside others, until the link is closed.
pub fn attach(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let raw = |fd: BorrowedFd<'_>| u32::try_from(fd.as_raw_fd()).map_err(io::Error::other);
    bpf(
        BPF_LINK_CREATE,
        &mut LinkCreate {
            prog_fd: raw(program)?,
            target_fd: raw(cgroup)?,
            attach_type,
            flags: 0,
        },
    )
}

fn bpf<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `size` bytes of `attr`; the pointers in it are of live borrows of
    // the callers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    match libc::c_int::try_from(result) {
        // SAFETY: the kernel just gave us this descriptor.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
