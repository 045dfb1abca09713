//! The decisions' view of the kernel: [`mesh_common::kernel`] over the maps and the calling socket.

use core::{ffi::c_void, mem::MaybeUninit, ptr, sync::atomic::AtomicU64};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_netns_cookie,
        bpf_get_prandom_u32, bpf_get_socket_cookie, bpf_ktime_get_ns,
        generated::{bpf_ktime_get_coarse_ns, bpf_sk_storage_get},
    },
    programs::SockAddrContext,
};
use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, Backend, ExcludedKey, Flow, FrontendKey, LiveService, MoreFlows,
        Outcome, OutcomeKey, OutcomeRow, Resource, ServiceRow, ShareKey, Slot, SocketFlows,
        SocketRecord, SocketRow, capacity, excluded_kind,
    },
    addr::Addr,
    affinity, atomic,
    client::{self, DEPTH},
    connect::{self, Connect},
    counter::Counter,
    datagram::{self, Datagrams},
    evidence::{self, Evidence},
    filter,
    flows::{self, Find},
    kernel::{Caller, Kernel},
    latency::{Measure, Pair, Part},
    limits::{self, Shares},
    outcome::{self, Attempt, Outcomes},
    pick::{self, Choose},
    quota,
    search::{self, Search, Walk},
    socket,
};

use crate::{
    compare::{costs_less, latencies, learn_latency},
    maps::{
        ADDRESS_FILTER, AFFINITY, BACKENDS, CLIENTS, COOKIE_FILTER, COUNTERS, EXCLUDED, FLOWS,
        GROUPS, LATENCIES, LOAD, MORE_FLOWS, OUTCOMES, QUOTAS, SERVICES, SHARES, SLOTS, SOCKETS,
    },
};

/// Set by the agent before loading: whether EXCLUDED has rows. While it has none the verifier drops
/// the check.
#[unsafe(no_mangle)]
static EXCLUSIONS: u32 = 0;

/// Set by the agent before loading: rows of SOCKETS, FLOWS and AFFINITY that one client may have.
#[unsafe(no_mangle)]
static SOCKETS_PER_CLIENT: u32 = capacity::SOCKETS / 4;
#[unsafe(no_mangle)]
static AFFINITY_PER_CLIENT: u32 = capacity::AFFINITY / 4;

/// `BPF_NOEXIST`: add, do not replace.
const NOEXIST: u64 = 1;

/// The maps, and the context of the hook that looks at them.
pub struct Maps<C>(pub C);

impl<C> Kernel for Maps<C> {
    #[inline(always)]
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow> {
        let (word, bit) = filter::place(&key.addr);
        // SAFETY: the kernel returned a row of this map.
        if unsafe { ADDRESS_FILTER.get_ptr(word)?.read_volatile() } & bit == 0 {
            return None;
        }
        // SAFETY: the kernel returned a row of this map.
        if !unsafe { read_row(SERVICES.get_ptr(key)?, key, into) } {
            // The row was recycled under our eyes, so it was replaced; its successor is there by
            // now. Should that be gone as well, nobody serves this key at the moment. SAFETY: as
            // above.
            unsafe {
                if !read_row(SERVICES.get_ptr(key)?, key, into) {
                    let seen = into.assume_init_mut();
                    (seen.slot_count, seen.flags) = (0, 0);
                }
            }
        }
        // SAFETY: written above.
        Some(unsafe { into.assume_init_ref() })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        // Read whole: else the compiler chooses between two addresses in the row instead of between
        // two values, and the verifier refuses such arithmetic to agents without CAP_PERFMON.
        // SAFETY: the kernel returned a row of this map.
        SLOTS
            .get_ptr(index)
            .map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&Backend> {
        BACKENDS.get(index)
    }

    #[inline(always)]
    fn live_service(&self, id: u32) -> Option<&LiveService> {
        LOAD.get(id)
    }

    #[inline(always)]
    fn share(&self, key: &ShareKey) -> Option<&AtomicU64> {
        // SAFETY: the kernel returned a row of this map, whose memory lives as long as the map.
        SHARES.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn add_share(&self, key: &ShareKey) {
        _ = SHARES.insert(key, &AtomicU64::new(0), NOEXIST);
    }

    #[inline(always)]
    fn socket(&self, cookie: u64) -> *mut SocketRecord {
        if may_be_known(cookie) {
            SOCKETS.get_ptr_mut(cookie).unwrap_or(ptr::null_mut())
        } else {
            ptr::null_mut()
        }
    }

    #[inline(always)]
    fn remember(&self, cookie: u64, row: &SocketRow) -> bool {
        let Some(mark) = mark(cookie) else {
            return false;
        };
        if !take(row.client, Resource::Sockets) {
            return false;
        }
        // Before the row, so that nobody who looks for it meets a mark that is too low.
        atomic::count(mark, 1);
        // SAFETY: the kernel copies one value of the map's size; both types have the same layout.
        let record = unsafe { &*ptr::from_ref(row).cast::<SocketRecord>() };
        let made = SOCKETS.insert(cookie, record, NOEXIST).is_ok();
        if !made {
            atomic::count(mark, 1_u64.wrapping_neg());
            self.give_back(row.client, Resource::Sockets, 1);
        }
        made
    }

    #[inline(always)]
    fn forget(&self, cookie: u64, client: u32) {
        if SOCKETS.remove(cookie).is_ok()
            && let Some(mark) = mark(cookie)
        {
            atomic::count(mark, 1_u64.wrapping_neg());
            self.give_back(client, Resource::Sockets, 1);
        }
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow> {
        // SAFETY: the kernel returned a row of this map.
        AFFINITY
            .get_ptr(key)
            .map(|row| unsafe { row.read_volatile() })
    }

    #[inline(always)]
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool {
        if !take(row.owner, Resource::Affinity) {
            return false;
        }
        if AFFINITY.insert(key, row, NOEXIST).is_ok() {
            return true;
        }
        self.give_back(row.owner, Resource::Affinity, 1);
        AFFINITY.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow) {
        let Some(cell) = AFFINITY.get_ptr_mut(key) else {
            return;
        };
        // SAFETY: the kernel returned a row of this map; both words are aligned.
        unsafe {
            if atomic::replace(
                AtomicU64::from_ptr(&raw mut (*cell).backend),
                old,
                row.backend,
            ) {
                (&raw mut (*cell).used_at).write_volatile(row.used_at);
            }
        }
    }

    #[inline(always)]
    fn outcome(&self, key: &OutcomeKey) -> Option<&Outcome> {
        // SAFETY: the kernel returned a row of this map, whose memory lives as long as the map.
        OUTCOMES.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool {
        // SAFETY: the kernel copies one value of the map's size; both types have the same layout.
        let outcome = unsafe { &*ptr::from_ref(row).cast::<Outcome>() };
        if OUTCOMES.insert(key, outcome, NOEXIST).is_ok() {
            return true;
        }
        // Of the same use of the backend's index: another connect of the client was faster.
        let is_same = OUTCOMES.get_ptr(key).is_some_and(|known| {
            // SAFETY: the kernel returned a row of this map.
            unsafe { (&raw const (*known).generation).read_volatile() == row.generation }
        });
        !is_same && OUTCOMES.insert(key, outcome, 0).is_ok()
    }

    #[inline(always)]
    fn drop_outcome(&self, key: &OutcomeKey) {
        _ = OUTCOMES.remove(key);
    }

    #[inline(always)]
    fn latency(&self, row: u32) -> Option<&AtomicU64> {
        LATENCIES.get(row)
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes no arguments and cannot fail.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn coarse_now(&self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn give_back(&self, client: u32, resource: Resource, rows: u32) {
        if let Some(used) = QUOTAS.get(quota::place(client)) {
            quota::give_back(used, resource, rows.into());
        }
    }

    #[inline(always)]
    fn count(&self, service: u32, counter: Counter) {
        let Some(row) = COUNTERS.get_ptr_mut(service) else {
            return;
        };
        // Per-CPU rows need an atomic add too: a program may be preempted by another on the same
        // CPU. SAFETY: the index is below the length of the row (tested in mesh-common), whose
        // memory lives as long as the map.
        let cell = unsafe { AtomicU64::from_ptr(row.cast::<u64>().add(counter.index())) };
        atomic::count(cell, 1);
    }
}

impl<C> Evidence for Maps<C> {
    #[inline(always)]
    fn client_health(&self, service: &ServiceRow, index: u32) -> u64 {
        client_health(service, index)
    }

    #[inline(always)]
    fn start_trial(&self, service: &ServiceRow, index: u32) -> bool {
        start_trial(service, index) != 0
    }
}

impl<C> Measure for Maps<C> {
    #[inline(always)]
    fn latencies(&self, service: &ServiceRow, one: u32, other: u32) -> u64 {
        latencies(service, one, other)
    }

    #[inline(always)]
    fn learn_latency(&self, pair: Pair, part: Part, sample: u64) {
        let Pair {
            client,
            backend,
            generation,
        } = pair;
        learn_latency(
            client,
            backend,
            generation,
            (part == Part::Duration).into(),
            sample,
        );
    }
}

impl<C> Shares for Maps<C> {
    #[inline(always)]
    fn claim(&self, service: &ServiceRow) -> u64 {
        claim(service)
    }

    #[inline(always)]
    fn change_share(&self, of: ShareKey, reserved: u64, units: u64) {
        change_share(of.service, of.client, reserved, units);
    }
}

impl<C> Outcomes for Maps<C> {
    #[inline(always)]
    fn succeeded(&self, attempt: &Attempt, in_node: bool) -> bool {
        succeeded(attempt, in_node.into()) != 0
    }

    #[inline(always)]
    fn weigh(&self, attempt: &Attempt) -> u32 {
        weigh(attempt)
    }

    #[inline(always)]
    fn failed(&self, attempt: &Attempt, others: u32) -> bool {
        failed(attempt, others) != 0
    }

    #[inline(always)]
    fn is_too_long(&self, key: &FrontendKey, waited: u64) -> bool {
        is_too_long(key, waited) != 0
    }
}

impl<C> Walk for Maps<C> {
    #[inline(always)]
    fn costs_less(&self, service: &ServiceRow, one: u32, other: u32) -> bool {
        costs_less(service, one, other) != 0
    }

    #[inline(always)]
    fn step(&self, service: &ServiceRow, walk: &mut Search) -> bool {
        step(service, walk) != 0
    }

    #[inline(always)]
    fn stride(&self, service: &ServiceRow, walk: &mut Search) -> bool {
        stride(service, walk) != 0
    }

    #[inline(always)]
    fn redraw(&self, service: &ServiceRow, walk: &Search, key: u64, attempt: u32) -> u32 {
        redraw(service, walk, key, attempt)
    }

    #[inline(always)]
    fn search(&self, service: &ServiceRow, key: u64, first_was_full: bool) -> u64 {
        search(service, key, first_was_full.into())
    }
}

impl<C> Choose for Maps<C> {
    #[inline(always)]
    fn kept(&self, service: &ServiceRow, client: u64) -> u64 {
        kept(service, client)
    }

    #[inline(always)]
    fn bind(&self, service: &ServiceRow, client: u64, choice: u64) -> u64 {
        bind(service, client, choice)
    }

    #[inline(always)]
    fn admit(&self, service: &ServiceRow, choice: u64, unbounded: bool) -> u64 {
        admit(service, choice, unbounded.into())
    }

    #[inline(always)]
    fn pick(&self, service: &ServiceRow, client: u64, key: u64) -> u64 {
        pick(service, client, key)
    }

    #[inline(always)]
    fn reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        reserve(service, index.into(), is_bounded.into())
    }

    #[inline(always)]
    fn enter(&self, service: &ServiceRow) -> u64 {
        enter(service)
    }

    #[inline(always)]
    fn leave(&self, service: &ServiceRow, limited: u64) {
        leave(service, limited);
    }
}

impl Connect for Maps<&SockAddrContext> {
    #[inline(always)]
    fn record(
        &self,
        service: &ServiceRow,
        known: *mut SocketRecord,
        index: u32,
        cookie: u64,
        state: u64,
    ) -> bool {
        record(service, known, index.into(), cookie, state) != 0
    }

    #[inline(always)]
    fn end(&self, record: &SocketRecord, cookie: u64) {
        end(record, cookie);
    }
}

impl Find for Maps<&SockAddrContext> {
    #[inline(always)]
    fn flow_of(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        flow_of(flows, dest)
    }

    #[inline(always)]
    fn more_of(&self, more: &MoreFlows, dest: &FrontendKey) -> u32 {
        more_of(more, dest)
    }

    #[inline(always)]
    fn flow_to(&self, flows: &SocketFlows, peer: &FrontendKey) -> u32 {
        flow_to(flows, peer)
    }

    #[inline(always)]
    fn more_to(&self, more: &MoreFlows, peer: &FrontendKey) -> u32 {
        more_to(more, peer)
    }

    #[inline(always)]
    fn place(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        place(flows, dest)
    }

    #[inline(always)]
    fn place_in_more(&self, more: &MoreFlows, dest: &FrontendKey, last: u32) -> u32 {
        place_in_more(more, dest, last.into())
    }
}

impl Datagrams for Maps<&SockAddrContext> {
    #[inline(always)]
    fn stop(&self, flow: &mut Flow, client: u32) {
        stop(flow, client);
    }

    #[inline(always)]
    fn goes_on(&self, flow: &mut Flow, service: &ServiceRow) -> bool {
        goes_on(flow, service) != 0
    }

    #[inline(always)]
    fn put(&self, flow: &mut Flow, service: &ServiceRow, index: u32, held: u32) {
        put(flow, service, index.into(), held.into());
    }
}

impl Caller for Maps<&SockAddrContext> {
    #[inline(always)]
    fn client(&self, by_cgroup: bool) -> u64 {
        // SAFETY: the helpers take the context or nothing, and cannot fail.
        unsafe {
            if by_cgroup {
                bpf_get_current_cgroup_id()
            } else {
                bpf_get_netns_cookie(self.0.as_ptr())
            }
        }
    }

    #[inline(always)]
    fn client_id(&self) -> u32 {
        // SAFETY: the helper takes no arguments and cannot fail.
        let leaf = client::short(unsafe { bpf_get_current_cgroup_id() });
        let Some(row) = CLIENTS.get_ptr(leaf & (capacity::CLIENTS - 1)) else {
            return 0;
        };
        // SAFETY: the kernel returned a row of this map; a program that preempts this one reads and
        // writes it whole.
        let known = unsafe { row.read_volatile() };
        if known >> 32 == u64::from(leaf) {
            known as u32
        } else {
            find_client(leaf)
        }
    }

    #[inline(always)]
    fn source(&self) -> Addr {
        crate::context::bound_to(self.0)
    }

    #[inline(always)]
    fn excluded(&self) -> bool {
        // SAFETY: a constant of this object, set before it was loaded.
        if unsafe { (&raw const EXCLUSIONS).read_volatile() } == 0 {
            return false;
        }
        if is_excluded(excluded_kind::NETNS, self.client(false)) {
            return true;
        }
        for level in 0..DEPTH {
            let id = ancestor(level);
            if id == 0 {
                break;
            }
            if is_excluded(excluded_kind::CGROUP, id) {
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context and cannot fail.
        unsafe { bpf_get_socket_cookie(self.0.as_ptr()) }
    }

    #[inline(always)]
    fn is_connected(&self) -> bool {
        const TCP_ESTABLISHED: u32 = 1;
        // SAFETY: the kernel passes a valid context with a valid socket.
        unsafe {
            let sk = (*self.0.sock_addr).__bindgen_anon_1.sk;
            (&raw const (*sk).state).read_volatile() == TCP_ESTABLISHED
        }
    }

    #[inline(always)]
    fn flows(&self, create: bool) -> *mut SocketFlows {
        // SAFETY: the context's socket is valid while the hook runs.
        unsafe {
            let flows = FLOWS.get_ptr_mut(self.0);
            if flows.is_null() && create {
                self.make_flows()
            } else {
                flows
            }
        }
    }

    #[inline(always)]
    fn more_flows(&self, create: bool) -> *mut MoreFlows {
        // SAFETY: as above.
        unsafe {
            let more = MORE_FLOWS.get_ptr_mut(self.0);
            if more.is_null() && create {
                self.make_more_flows()
            } else {
                more
            }
        }
    }
}

/// Set by the agent before loading: the cookie of its own network namespace, which is the node's.
#[unsafe(no_mangle)]
static NODE_NETNS: u64 = 0;

/// Whether a socket is in the node's own network namespace. `ctx` is the hook's context.
#[inline(always)]
pub fn is_in_node(ctx: *mut c_void) -> bool {
    // SAFETY: a constant of this object, set before it was loaded; the helper takes the context and
    // cannot fail.
    unsafe { (&raw const NODE_NETNS).read_volatile() == bpf_get_netns_cookie(ctx) }
}

impl Maps<&SockAddrContext> {
    /// The first record of the calling socket's flows, made for its client; null when that has as
    /// many as it may have.
    #[inline(always)]
    fn make_flows(&self) -> *mut SocketFlows {
        let client = self.client_id();
        if !take(client, Resource::Flows) {
            return ptr::null_mut();
        }
        // SAFETY: the context's socket is valid while the hook runs, and its storage is ours alone
        // meanwhile.
        unsafe {
            let flows = FLOWS.get_or_insert_ptr_mut(self.0, None);
            match flows.as_mut() {
                Some(flows) => flows.client = client,
                None => self.give_back(client, Resource::Flows, 1),
            }
            flows
        }
    }

    /// The second record, which counts for as many first ones as its memory is worth.
    #[inline(always)]
    fn make_more_flows(&self) -> *mut MoreFlows {
        // SAFETY: as above.
        unsafe {
            let Some(flows) = FLOWS.get_ptr_mut(self.0).as_ref() else {
                return ptr::null_mut();
            };
            let client = flows.client;
            if !take(client, Resource::MoreFlows) {
                return ptr::null_mut();
            }
            let more = MORE_FLOWS.get_or_insert_ptr_mut(self.0, None);
            if more.is_null() {
                self.give_back(client, Resource::MoreFlows, 1);
            }
            more
        }
    }
}

/// Counts a row for a client; false when it has as many as it may have.
#[inline(always)]
fn take(client: u32, resource: Resource) -> bool {
    let Some(used) = QUOTAS.get(quota::place(client)) else {
        return false;
    };
    // SAFETY: constants of this object, set before it was loaded.
    let most = unsafe {
        match resource {
            Resource::Sockets | Resource::Flows => (&raw const SOCKETS_PER_CLIENT).read_volatile(),
            Resource::MoreFlows => {
                (&raw const SOCKETS_PER_CLIENT).read_volatile() / quota::SMALL_PER_LARGE
            }
            Resource::Affinity => (&raw const AFFINITY_PER_CLIENT).read_volatile(),
        }
    };
    quota::take(used, resource, most.into())
}

/// Whether SOCKETS may have a row for this cookie.
#[inline(always)]
pub fn may_be_known(cookie: u64) -> bool {
    mark(cookie).is_some_and(|mark| atomic::read(mark) != 0)
}

/// How many rows SOCKETS has for cookies like this one. The cookies of sockets that are opened one
/// after the other on a CPU are consecutive, so their marks are beside each other, and a socket
/// that has no row costs no look at a hash map.
#[inline(always)]
fn mark<'a>(cookie: u64) -> Option<&'a AtomicU64> {
    COOKIE_FILTER.get(cookie as u32 & (capacity::COOKIE_FILTER - 1))
}

/// A function that others may call, so that the verifier looks at it by itself, whatever its
/// callers know.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step(service: *const ServiceRow, walk: *mut Search) -> u32 {
    // SAFETY: callers pass both; the verifier wants to see that they are there.
    match unsafe { (service.as_ref(), walk.as_mut()) } {
        (Some(service), Some(walk)) => walk.step(&Maps(()), service).into(),
        _ => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn redraw(
    service: *const ServiceRow,
    walk: *const Search,
    key: u64,
    attempt: u32,
) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (service.as_ref(), walk.as_ref()) } {
        (Some(service), Some(walk)) => walk.redraw(&Maps(()), service, key, attempt),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record(
    service: *const ServiceRow,
    known: *mut SocketRecord,
    index: u64,
    cookie: u64,
    state: u64,
) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => {
            connect::record(&Maps(()), service, known, index as u32, cookie, state).into()
        }
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stride(service: *const ServiceRow, walk: *mut Search) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (service.as_ref(), walk.as_mut()) } {
        (Some(service), Some(walk)) => search::stride(&Maps(()), service, walk).into(),
        _ => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn pick(service: *const ServiceRow, client: u64, key: u64) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => pick::pick(&Maps(()), service, client, key),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit(service: *const ServiceRow, choice: u64, unbounded: u64) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => pick::admit(&Maps(()), service, choice, unbounded != 0),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn reserve(service: *const ServiceRow, index: u64, is_bounded: u64) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => pick::reserve(&Maps(()), service, index as u32, is_bounded != 0),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn enter(service: *const ServiceRow) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => limits::enter(&Maps(()), service),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn leave(service: *const ServiceRow, limited: u64) -> u32 {
    // SAFETY: as in `step`.
    if let Some(service) = unsafe { service.as_ref() } {
        limits::leave(&Maps(()), service, limited);
    }
    0
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim(service: *const ServiceRow) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => limits::claim(&Maps(()), service),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn change_share(service: u32, client: u32, reserved: u64, units: u64) -> u32 {
    limits::change_share(&Maps(()), ShareKey { service, client }, reserved, units);
    0
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end(record: *const SocketRecord, cookie: u64) -> u32 {
    // SAFETY: as in `step`.
    if let Some(record) = unsafe { record.as_ref() } {
        socket::end(&Maps(()), record, cookie);
    }
    0
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_of(flows: *const SocketFlows, dest: *const FrontendKey) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (flows.as_ref(), dest.as_ref()) } {
        (Some(flows), Some(dest)) => flows::flow_of(flows, dest),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn more_of(more: *const MoreFlows, dest: *const FrontendKey) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (more.as_ref(), dest.as_ref()) } {
        (Some(more), Some(dest)) => flows::more_of(more, dest),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_to(flows: *const SocketFlows, peer: *const FrontendKey) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (flows.as_ref(), peer.as_ref()) } {
        (Some(flows), Some(peer)) => flows::flow_to(flows, peer),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn more_to(more: *const MoreFlows, peer: *const FrontendKey) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (more.as_ref(), peer.as_ref()) } {
        (Some(more), Some(peer)) => flows::more_to(more, peer),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn place(flows: *const SocketFlows, dest: *const FrontendKey) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (flows.as_ref(), dest.as_ref()) } {
        (Some(flows), Some(dest)) => flows::place(flows, dest),
        // Out of range, so that the caller has to check it: of functions in the same object the
        // compiler knows the range.
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn place_in_more(more: *const MoreFlows, dest: *const FrontendKey, last: u64) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (more.as_ref(), dest.as_ref()) } {
        (Some(more), Some(dest)) => flows::place_in_more(more, dest, last as u32),
        _ => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stop(flow: *mut Flow, client: u32) -> u32 {
    // SAFETY: as in `step`.
    if let Some(flow) = unsafe { flow.as_mut() } {
        datagram::stop(&Maps(()), flow, client);
    }
    0
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn goes_on(flow: *mut Flow, service: *const ServiceRow) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (flow.as_mut(), service.as_ref()) } {
        (Some(flow), Some(service)) => datagram::goes_on(&Maps(()), flow, service).into(),
        _ => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn put(flow: *mut Flow, service: *const ServiceRow, index: u64, held: u64) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { (flow.as_mut(), service.as_ref()) } {
        (Some(flow), Some(service)) => {
            datagram::put(&Maps(()), flow, service, index as u32, held as u32);
            1
        }
        _ => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn kept(service: *const ServiceRow, client: u64) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => affinity::kept(&Maps(()), service, client),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bind(service: *const ServiceRow, client: u64, choice: u64) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => affinity::bind(&Maps(()), service, client, choice),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn search(service: *const ServiceRow, key: u64, first_was_full: u64) -> u64 {
    // SAFETY: callers pass a row; the verifier wants to see that it is there.
    match unsafe { service.as_ref() } {
        Some(service) => search::search(&Maps(()), service, key, first_was_full != 0),
        None => u64::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn client_health(service: *const ServiceRow, index: u32) -> u64 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => evidence::client_health(&Maps(()), service, index),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn start_trial(service: *const ServiceRow, index: u32) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { service.as_ref() } {
        Some(service) => evidence::start_trial(&Maps(()), service, index).into(),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_too_long(key: *const FrontendKey, waited: u64) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { key.as_ref() } {
        Some(key) => outcome::is_too_long(&Maps(()), key, waited).into(),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn succeeded(attempt: *const Attempt, in_node: u32) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { attempt.as_ref() } {
        Some(attempt) => outcome::succeeded(&Maps(()), attempt, in_node != 0).into(),
        None => 0,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn weigh(attempt: *const Attempt) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { attempt.as_ref() } {
        Some(attempt) => outcome::weigh(&Maps(()), attempt),
        None => u32::MAX,
    }
}

/// As [`step`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn failed(attempt: *const Attempt, others: u32) -> u32 {
    // SAFETY: as in `step`.
    match unsafe { attempt.as_ref() } {
        Some(attempt) => outcome::failed(&Maps(()), attempt, others).into(),
        None => 0,
    }
}

/// Returns the client of the calling task, which is in the cgroup `leaf`. Each CPU remembers the
/// clients of some cgroups; the agent clears that when groups come.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_client(leaf: u32) -> u32 {
    let client = client::short(client::find(ancestor, |id| GROUPS.get_ptr(id).is_some()));
    if let Some(row) = CLIENTS.get_ptr_mut(leaf & (capacity::CLIENTS - 1)) {
        // SAFETY: as in `Maps::client_id`.
        unsafe { row.write_volatile(u64::from(leaf) << 32 | u64::from(client)) };
    }
    client
}

/// The calling task's cgroup at a level below the root; zero when there is none.
#[inline(always)]
fn ancestor(level: i32) -> u64 {
    // SAFETY: the helper returns zero for a level that the task's cgroup does not have.
    unsafe { bpf_get_current_ancestor_cgroup_id(level) }
}

#[inline(always)]
fn is_excluded(kind: u64, id: u64) -> bool {
    EXCLUDED.get_ptr(ExcludedKey { id, kind }).is_some()
}

/// A socket is closed: what it holds, and what is kept outside of it, goes with it. `ctx` is the
/// hook's context.
#[inline(always)]
pub fn release(ctx: *mut c_void, is_unconnected: impl FnOnce() -> bool) {
    let maps = Maps(());
    // SAFETY: the helper takes the context and cannot fail.
    socket::released(&maps, unsafe { bpf_get_socket_cookie(ctx) }, is_unconnected);
    // SAFETY: the hook's context is the socket, which is valid while the hook runs.
    if let Some(flows) = unsafe { storage::<SocketFlows>((&raw const FLOWS).cast(), ctx) } {
        // SAFETY: as above.
        let more = || unsafe { storage::<MoreFlows>((&raw const MORE_FLOWS).cast(), ctx) };
        let more = if flows::is_full(flows) { more() } else { None };
        datagram::released(&maps, flows, more);
        maps.give_back(flows.client, Resource::Flows, 1);
        if more.is_some() {
            maps.give_back(flows.client, Resource::MoreFlows, 1);
        }
    }
}

/// What a map of socket storage holds for a socket.
///
/// # Safety
/// `map` must be a map whose values are `T`, and the socket valid for as long as the value is used.
#[inline(always)]
unsafe fn storage<'a, T>(map: *const c_void, socket: *mut c_void) -> Option<&'a T> {
    // SAFETY: promised by the caller; a map is named by its address, as everywhere.
    unsafe {
        bpf_sk_storage_get(map.cast_mut(), socket, ptr::null_mut(), 0)
            .cast::<T>()
            .as_ref()
    }
}

/// Copies a row; whether it was one row all the time, see [`ServiceRow`].
///
/// # Safety
/// `row` must be a row of SERVICES.
#[inline(always)]
unsafe fn read_row(
    row: *const ServiceRow,
    key: &FrontendKey,
    into: &mut MaybeUninit<ServiceRow>,
) -> bool {
    // SAFETY: promised by the caller; `slot_base` and `slot_count` are one aligned word (tested in
    // mesh-common).
    unsafe {
        let range = (&raw const (*row).slot_base).cast::<u64>();
        let before = range.read_volatile();
        // Word by word to where it is to be: else it would be put on the stack twice.
        for word in 0..size_of::<ServiceRow>() / 8 {
            let value = row.cast::<u64>().add(word).read_volatile();
            into.as_mut_ptr()
                .cast::<u64>()
                .add(word)
                .write_volatile(value);
        }
        let is_ours = (0..size_of::<FrontendKey>() / 4).all(|word| {
            row.cast::<u32>().add(word).read_volatile()
                == ptr::from_ref(key).cast::<u32>().add(word).read()
        });
        is_ours && range.read_volatile() == before
    }
}
