#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mbx_fuzz::redact(data));
