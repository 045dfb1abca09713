//! The programs are in the `mesh` binary; this library exists so that cargo can depend on the
//! package and rebuild it.
#![no_std]
