#!/bin/sh
# bpf-linker, which generates the code, for the third generation of BPF instructions (Linux 5.12): 32-bit registers, and
# atomic operations that return what was there before. The compiler asks for `--cpu generic`, the first generation, and
# takes no other wish from the crate that starts it.
#
# The feature `alu32` alone will not do: without the 32-bit jumps of the same generation, which only `--cpu` switches on,
# an unsigned 32-bit number is compared with -1 as a 64-bit one, and never equal.
#
# Without block placement: that pass may lay the last block of a loop right above its first, so that the loop closes by
# falling through, which kernels before 6.7 refuse. A test of the agent looks at every program for such loops.
previous=
for argument; do
    shift
    [ "$previous" = --cpu ] && argument=v3
    set -- "$@" "$argument"
    previous=$argument
done
exec bpf-linker --llvm-args=-disable-block-placement "$@"
