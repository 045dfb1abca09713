mod layout;

use core::mem::{align_of, offset_of, size_of};

use super::*;

#[test]
fn layout_is_what_running_kernels_hold() {
    assert_eq!(
        (size_of::<FrontendKey>(), align_of::<FrontendKey>()),
        (20, 4)
    );
    assert_eq!((size_of::<ServiceRow>(), align_of::<ServiceRow>()), (80, 8));
    assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (16, 4));
    assert_eq!((size_of::<BackendRow>(), align_of::<BackendRow>()), (32, 4));
    assert_eq!(
        (size_of::<BackendLoad>(), align_of::<BackendLoad>()),
        (32, 8)
    );
    assert_eq!((size_of::<BackendEntry>(), size_of::<Backend>()), (64, 64));
    assert_eq!(offset_of!(Backend, live), offset_of!(BackendEntry, load));
    assert_eq!(
        offset_of!(Backend, latency),
        size_of::<BackendRow>() + offset_of!(BackendLoad, handshake)
    );
    assert_eq!(
        offset_of!(BackendLoad, duration),
        offset_of!(BackendLoad, handshake) + 4,
        "little endian"
    );
    assert_eq!(size_of::<ServiceLoad>(), size_of::<LiveService>());
    assert_eq!(
        (size_of::<SocketRecord>(), align_of::<SocketRecord>()),
        (72, 8)
    );
    assert_eq!(size_of::<SocketRow>(), size_of::<SocketRecord>());
    assert_eq!(
        offset_of!(SocketRow, state),
        offset_of!(SocketRecord, state)
    );
    assert_eq!((size_of::<Flow>(), align_of::<Flow>()), (48, 4));
    assert_eq!(
        (size_of::<SocketFlows>(), size_of::<MoreFlows>()),
        (104, 2976)
    );
    assert_eq!(
        (size_of::<AffinityKey>(), size_of::<AffinityRow>()),
        (16, 24)
    );
    assert_eq!(size_of::<ClientUse>(), size_of::<ClientRows>());
    assert_eq!(
        offset_of!(ServiceRow, slot_base) % 8,
        0,
        "base and count are read as one word"
    );
    assert_eq!(offset_of!(BackendRow, state), 18);
    assert_eq!(offset_of!(BackendRow, generation), 24);
    assert_eq!(offset_of!(SocketRecord, service), 36);
    assert_eq!(offset_of!(ServiceRow, client), 72);
    assert_eq!(
        (
            size_of::<OutcomeRow>(),
            size_of::<Outcome>(),
            size_of::<OutcomeKey>()
        ),
        (24, 24, 8)
    );
}

#[test]
fn every_counter_has_room() {
    assert!(crate::counter::Counter::ALL.len() <= size_of::<ServiceCounters>() / 8);
}
