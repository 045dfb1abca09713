//! The static archive: extracted on a clean machine, started by systemd, and removed as
//! docs/operations.md says.

use std::collections::BTreeSet;

use mesh_tests::{Node, bpftool, client::protocol::counts, node::PATIENCE, pinned::Held, wait};

use crate::{
    debian::{InKernel, VIP, serve_cart},
    machine::Machine,
    packages::Packages,
};

#[test]
fn an_archive_is_extracted_its_unit_serves_and_nothing_of_it_stays_in_the_kernel() {
    let packages = Packages::of("tar");
    let node = Node::setup().prepare();
    let machine = Machine::boot(node.place());
    let archive = machine.copy(&packages.file(".tar.gz"));
    machine.expect(["tar", "-C", "/", "-xzf", &archive]);
    machine.expect(["systemctl", "enable", "--now", "mesh-agent"]);
    let _server = serve_cart(&node, &machine);
    let InKernel {
        programs,
        maps,
        links,
    } = InKernel::of(&machine);

    machine.expect(["systemctl", "disable", "--now", "mesh-agent"]);
    let mut client = node.client();
    assert_eq!(client.tcp(VIP).times(100).answers, counts([("a", 100)]));
    machine.expect(["mesh-agent", "uninstall"]);
    assert_eq!(
        bpftool::attached(node.place().cgroup.path()),
        BTreeSet::new()
    );
    wait::until_equal("what is left", PATIENCE, &Held::default(), || {
        Held::now().only(&programs, &maps, &links)
    });
    let remove = format!("cd / && tar -tf {archive} | xargs rm && rm -r /etc/mesh-agent {archive}");
    machine.expect(["sh", "-c", &remove]);
    let left = "find / -xdev -name '*mesh*' -not -type d";
    assert_eq!(machine.expect(["sh", "-c", left]), "");
}
