#![no_main]

use mbx::model::ProviderId;

libfuzzer_sys::fuzz_target!(|data: &[u8]| mbx_fuzz::adapter(ProviderId::Hybridbox, data));
