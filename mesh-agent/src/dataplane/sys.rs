//! The `bpf(2)` calls that aya lacks: rows and batches of rows, link update, information and pins,
//! attached programs. The only module with raw system calls.
//!
//! Numbers and layouts are those of `include/uapi/linux/bpf.h`, `union bpf_attr`, which never
//! change.

mod rows;

use std::{
    ffi::CString,
    io,
    mem::offset_of,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use bytemuck::{Pod, Zeroable};

pub(super) use self::rows::{
    Cursor, delete, lookup, lookup_batch, lookup_batch_bytes, refuses_map_access, update_batch,
};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_UPDATE: libc::c_int = 29;

/// A `union bpf_attr` of some command: plain bytes, so that no padding is uninitialised.
fn bpf<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes `size` bytes of `attr`, which is exclusively borrowed.
    // Pointers inside it are made from live borrows by the callers, here and in `rows`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn address<T>(value: *const T) -> u64 {
    value as u64
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("an open descriptor is not negative")
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ObjPath {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Opens a pinned map, program or link; close-on-exec, like every BPF descriptor.
pub(super) fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let pathname = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjPath {
        pathname: address(pathname.as_ptr()),
        bpf_fd: 0,
        file_flags: 0,
    };
    let fd = bpf(BPF_OBJ_GET, &mut attr)?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins a map, program or link.
pub(super) fn obj_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let pathname = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjPath {
        pathname: address(pathname.as_ptr()),
        bpf_fd: raw(object),
        file_flags: 0,
    };
    bpf(BPF_OBJ_PIN, &mut attr).map(drop)
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// Replaces the program of a link atomically: no connect goes without a program.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdate {
        link_fd: raw(link),
        new_prog_fd: raw(program),
        flags: 0,
        old_prog_fd: 0,
    };
    bpf(BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// The head of `struct bpf_link_info` for a cgroup link.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct LinkInfo {
    kind: u32,
    /// Kernel id of the link.
    pub(super) id: u32,
    /// Kernel id of its program.
    pub(super) program_id: u32,
    pad: u32,
    /// Inode number of the cgroup directory; zero after the cgroup was removed.
    pub(super) cgroup_id: u64,
    attach_type: u32,
    pad2: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// Returns the kernel's information about a cgroup link.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::zeroed();
    let info_len = u32::try_from(size_of::<LinkInfo>()).expect("a small struct");
    let mut attr = InfoByFd {
        bpf_fd: raw(link),
        info_len,
        info: address(&raw mut info),
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

/// Returns the kernel id of a program.
pub(super) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    // The head of `struct bpf_prog_info`: type and id.
    let mut info = [0_u32; 2];
    let mut attr = InfoByFd {
        bpf_fd: raw(program),
        info_len: u32::try_from(size_of_val(&info)).expect("two words"),
        info: address(&raw mut info),
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info[1])
}

/// Opens a program by its kernel id. Needs CAP_SYS_ADMIN.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(BPF_PROG_GET_FD_BY_ID, &mut [id, 0, 0])?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    /// Written by the kernel whatever the size of the struct, at least by Debian's 6.18.15 and 7.0.13: a shorter
    /// struct would have the bytes behind it overwritten.
    revision: u64,
}
const _: () = assert!(offset_of!(ProgQuery, revision) == 56 && size_of::<ProgQuery>() == 64);

/// `BPF_CGROUP_MAX_PROGS`: most programs of one type that the kernel attaches to one cgroup.
const MAX_PROGRAMS: usize = 64;

/// Returns the ids of the programs of one `enum bpf_attach_type` that are attached to a cgroup
/// itself, in the order in which they were attached.
pub(super) fn attached_programs(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MAX_PROGRAMS];
    let mut attr = ProgQuery {
        target_fd: raw(cgroup),
        attach_type,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: u32::try_from(ids.len()).expect("a small number"),
        ..ProgQuery::zeroed()
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// Reads an option of a socket that is one word of 64 bits.
pub(super) fn socket_word(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<u64> {
    let mut word = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).expect("a small number");
    // SAFETY: the kernel writes at most `length` bytes to `word`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut word).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(word)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// The head of `struct __sk_buff`, up to its scratch area.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SkBuff {
    head: [u32; 12],
    cb: [u32; 5],
}

/// Runs a packet program once, on an empty packet with `words` in its scratch area.
pub(super) fn run(program: BorrowedFd<'_>, words: [u32; 5]) -> io::Result<()> {
    let context = SkBuff {
        head: [0; 12],
        cb: words,
    };
    // The kernel requires an Ethernet header; some versions require a byte after it.
    let packet = [0_u8; 64];
    let mut attr = TestRun {
        prog_fd: raw(program),
        data_size_in: u32::try_from(packet.len()).expect("a small packet"),
        data_in: address(packet.as_ptr()),
        ctx_size_in: u32::try_from(size_of::<SkBuff>()).expect("a small struct"),
        ctx_in: address(&raw const context),
        ..TestRun::zeroed()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr).map(drop)
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// Loads a socket filter whose only work is an atomic addition that returns the value before, and
/// drops it.
pub(super) fn load_atomic_fetch() -> io::Result<()> {
    const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
    // Opcode, registers (source in the high half), offset and constant, as `struct bpf_insn`.
    let instructions: [[u8; 8]; 5] = [
        [0xb7, 0x01, 0, 0, 1, 0, 0, 0],       // r1 = 1
        [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0], // *(u64 *)(r10 - 8) = r1
        [0xdb, 0x1a, 0xf8, 0xff, 1, 0, 0, 0], // r1 = atomic_fetch_add((u64 *)(r10 - 8), r1)
        [0xb7, 0x00, 0, 0, 0, 0, 0, 0],       // r0 = 0
        [0x95, 0x00, 0, 0, 0, 0, 0, 0],       // exit
    ];
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
        insn_cnt: u32::try_from(instructions.len()).expect("a small program"),
        insns: address(instructions.as_ptr()),
        license: address(c"GPL".as_ptr()),
    };
    let program = bpf(BPF_PROG_LOAD, &mut attr)?;
    // SAFETY: the kernel returned a new descriptor.
    drop(unsafe { OwnedFd::from_raw_fd(program) });
    Ok(())
}
