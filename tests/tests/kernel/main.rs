//! Scenarios on a real kernel. Each file is one subject; each test is one sentence.

mod harness;
