//! The `mbx` command; everything is in the library.

fn main() {}
