//! zlib-rs under libz-ng-sys's name.
//!
//! `pingora-core` switches flate2 to its zlib-ng backend, whose C sources want cmake and make. A
//! machine with only Rust and Python has neither, so `[patch.crates-io]` puts this crate in its
//! place: the few functions that flate2 calls, answered by zlib-rs (memory-safe, as fast).
//!
//! Only `z_stream` is our own: flate2 fills `zalloc` and `zfree` with plain function pointers, where
//! zlib-rs declares `Option`s of them. Both have one layout (the null pointer niche), checked below.

#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc)]

use core::ffi::{c_char, c_int, c_ulong, c_void};

pub use libz_rs_sys::{
    Bytef, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH,
    Z_FULL_FLUSH, Z_MEM_ERROR, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END,
    Z_STREAM_ERROR, Z_SYNC_FLUSH, uInt, zlibVersion,
};

pub type voidpf = *mut c_void;
pub type alloc_func = unsafe extern "C" fn(voidpf, uInt, uInt) -> voidpf;
pub type free_func = unsafe extern "C" fn(voidpf, voidpf);

pub enum internal_state {}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: c_ulong,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: c_ulong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: voidpf,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

pub type z_streamp = *mut z_stream;

const _: () = {
    type Theirs = libz_rs_sys::z_stream;
    assert!(size_of::<z_stream>() == size_of::<Theirs>());
    assert!(align_of::<z_stream>() == align_of::<Theirs>());
    assert!(core::mem::offset_of!(z_stream, zalloc) == core::mem::offset_of!(Theirs, zalloc));
    assert!(core::mem::offset_of!(z_stream, adler) == core::mem::offset_of!(Theirs, adler));
};

/// Passes each call on, with the stream pointer seen as zlib-rs's own type.
macro_rules! pass {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: z_streamp, $($argument: $kind),*) -> c_int {
            // SAFETY: one layout, asserted above; the caller keeps zlib's contract.
            unsafe { libz_rs_sys::$name(stream.cast(), $($argument),*) }
        }
    )*};
}

pass! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const Bytef, length: uInt);
    deflateInit2_(level: c_int, method: c_int, window: c_int, memory: c_int, strategy: c_int, version: *const c_char, size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset();
    inflateReset2(window: c_int);
    inflateSetDictionary(dictionary: *const Bytef, length: uInt);
    inflateInit2_(window: c_int, version: *const c_char, size: c_int);
}
