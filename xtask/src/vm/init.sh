#!/bin/busybox sh
# First process of the machine: mounts what a booted system has, runs the tests and powers off. What the tests say goes to
# the second serial line; the first is the kernel's.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
export PATH=/bin:/mesh MESH_BIN_DIR=/mesh
# Names of tests have no spaces.
# shellcheck disable=SC2046
/mesh/kernel $(cat /mesh/arguments) > /dev/ttyS1 2>&1
poweroff -f
