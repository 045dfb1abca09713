//! A pod: a cgroup below the node's, its own network namespace, and a veth to the node that
//! forwards for it.

use std::{fs, net::IpAddr, path::Path};

use crate::{Client, Node, Server, command_result::CommandResult, place::Place, server::Manner};

/// A pod. Its devices and addresses are removed with its namespace.
pub struct Pod {
    place: Place,
    number: u8,
}

impl Pod {
    /// Creates pod `number` of `node`, with the addresses 10.201.`number`.2 and fd00:201:`number`::2.
    pub fn start(node: &Node, number: u8) -> Self {
        let pod = Self {
            place: node.place().child(),
            number,
        };
        forward(node.place());
        let namespace = pod.place.netns.path();
        let device = format!("pod{number}");
        ip(
            node.place(),
            &format!(
                "link add {device} type veth peer name eth0 netns {}",
                namespace.display()
            ),
        );
        give_addresses(node.place(), &device, &pod.subnets(1));
        give_addresses(&pod.place, "eth0", &pod.subnets(2));
        ip(
            &pod.place,
            &format!("-4 route add default via 10.201.{number}.1"),
        );
        ip(
            &pod.place,
            &format!("-6 route add default via fd00:201:{number}::1"),
        );
        pod
    }

    /// Its cgroup and network namespace.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The node's IPv4 address on the veth to the pod.
    pub fn node_ip(&self) -> IpAddr {
        format!("10.201.{}.1", self.number)
            .parse()
            .expect("an address")
    }

    /// The node's IPv6 address on the veth to the pod.
    pub fn node_ip6(&self) -> IpAddr {
        format!("fd00:201:{}::1", self.number)
            .parse()
            .expect("an address")
    }

    /// Its IPv4 address.
    pub fn ip(&self) -> IpAddr {
        format!("10.201.{}.2", self.number)
            .parse()
            .expect("an address")
    }

    /// Its IPv6 address.
    pub fn ip6(&self) -> IpAddr {
        format!("fd00:201:{}::2", self.number)
            .parse()
            .expect("an address")
    }

    /// A server on the pod's IPv4 address.
    pub fn server(&self, name: &str) -> Server {
        Server::start(&self.place.netns, name, self.ip())
    }

    /// A server on the pod's IPv4 address that keeps connections open and echoes.
    pub fn echo_server(&self, name: &str) -> Server {
        Server::start_as(Manner::Echoes, &self.place.netns, name, self.ip())
    }

    /// A server on the pod's IPv6 address.
    pub fn server6(&self, name: &str) -> Server {
        Server::start(&self.place.netns, name, self.ip6())
    }

    /// A client process in the pod.
    pub fn client(&self) -> Client {
        Client::start(&self.place)
    }

    fn subnets(&self, host: u8) -> [String; 2] {
        let number = self.number;
        [
            format!("10.201.{number}.{host}/24"),
            format!("fd00:201:{number}::{host}/64 nodad"),
        ]
    }
}

/// Lets the node's namespace forward packets between its pods. No other namespace has these settings.
fn forward(place: &Place) {
    place.netns.run(|| {
        for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            let path = Path::new("/proc/sys").join(setting);
            fs::write(&path, "1").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    });
}

fn give_addresses(place: &Place, device: &str, subnets: &[String]) {
    for subnet in subnets {
        ip(place, &format!("address add {subnet} dev {device}"));
    }
    ip(place, &format!("link set {device} up"));
}

fn ip(place: &Place, line: &str) {
    let mut command = place.command("ip");
    CommandResult::of(command.args(line.split(' ')), crate::node::PATIENCE).expect_success();
}
