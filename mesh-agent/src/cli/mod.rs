//! The command line of `meshctl`.
