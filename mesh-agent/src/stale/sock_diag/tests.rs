use nix::sys::socket::{getsockname, sendto};

use super::*;

#[test]
fn layout_is_that_of_the_kernel() {
    assert_eq!((size_of::<Header>(), size_of::<SocketId>()), (16, 48));
    assert_eq!(
        (size_of::<Request>(), size_of::<Response>()),
        (16 + 56, 4 + 48)
    );
}

#[test]
fn cookie_is_put_together_from_its_halves() {
    let id = SocketId {
        cookie: [0x89ab_cdef, 0x0123_4567],
        ..SocketId::zeroed()
    };
    assert_eq!(
        Found {
            family: 0,
            protocol: 0,
            state: 0,
            id
        }
        .cookie(),
        0x0123_4567_89ab_cdef
    );
}

#[test]
fn kernel_without_the_option_is_named_in_one_sentence() {
    assert_eq!(
        destroy_error(Errno::EOPNOTSUPP).unwrap_err().to_string(),
        "stale sockets stay open: this kernel is built without CONFIG_INET_DIAG_DESTROY"
    );
    assert_eq!(
        list_error(protocol::UDP, Errno::ENOENT).to_string(),
        "stale UDP sockets stay open: this kernel is built without CONFIG_INET_UDP_DIAG"
    );
    assert!(matches!(destroy_error(Errno::ENOENT), Ok(false)));
}

#[test]
fn cut_off_packet_ends_the_list() {
    let header = Header {
        length: 20,
        kind: NLMSG_ERROR,
        flags: 0,
        sequence: 0,
        port_id: 0,
    };
    let mut packet = bytemuck::bytes_of(&header).to_vec();
    packet.extend((-2_i32).to_ne_bytes());
    let expected = (NLMSG_ERROR, (-2_i32).to_ne_bytes().to_vec());
    let read = |packet: &[u8]| {
        messages(packet)
            .map(|(header, payload)| (header.kind, payload.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&packet), [expected]);
    assert_eq!(read(&packet[..19]), []);
    assert_eq!(read(&packet[..3]), []);
}

/// Sends `payload` to the socket of `diag` as a process would that has CAP_NET_ADMIN in the
/// same namespace.
fn forge(diag: &Diag, kind: u16, sequence: u32, payload: &[u8]) {
    let forger = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .unwrap();
    let to: NetlinkAddr = getsockname(diag.socket.as_raw_fd()).unwrap();
    assert_ne!(to.pid(), KERNEL);
    let length = u32::try_from(size_of::<Header>() + payload.len()).unwrap();
    let header = Header {
        length,
        kind,
        flags: 0,
        sequence,
        port_id: to.pid(),
    };
    let packet = [bytemuck::bytes_of(&header), payload].concat();
    sendto(forger.as_raw_fd(), &packet, &to, MsgFlags::empty()).unwrap();
}

#[test]
fn answer_of_another_process_is_not_believed() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test sends packets to a netlink socket: run it as root"
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port().to_be();
    let query = Query {
        family: Family::V4,
        protocol: protocol::TCP,
        port: Some(port),
        all: false,
    };
    let mut diag = Diag::open().unwrap();
    // The kernel gives the socket its port with the first request.
    assert_eq!(diag.list(&query).unwrap().len(), 1);
    for sequence in [0, 1, 2] {
        forge(&diag, NLMSG_DONE, sequence, &0_i32.to_ne_bytes());
        forge(
            &diag,
            SOCK_DIAG_BY_FAMILY,
            sequence,
            bytemuck::bytes_of(&Response::zeroed()),
        );
    }
    let listed: Vec<_> = diag
        .list(&query)
        .unwrap()
        .iter()
        .map(Found::destination)
        .collect();
    assert_eq!(listed, [(Addr::from(std::net::Ipv4Addr::LOCALHOST), port)]);
}

#[test]
fn answer_to_an_earlier_request_is_not_taken_for_the_present_one() {
    let mut diag = Diag::open().unwrap();
    diag.sequence = 7;
    let mut packet = |sequence: u32, error: i32| {
        let header = Header {
            length: 20,
            kind: NLMSG_ERROR,
            flags: 0,
            sequence,
            port_id: 0,
        };
        let bytes = [bytemuck::bytes_of(&header), &error.to_ne_bytes()].concat();
        diag.buffer[..20].copy_from_slice(&bytes);
        diag.take(20, protocol::TCP, &mut drop)
    };
    assert_eq!(packet(6, -2), Ok(true));
    assert_eq!(packet(7, -2), Err(Errno::ENOENT));
    assert_eq!(packet(7, 0), Ok(false));
}
