//! What the host provides, as wit-bindgen generates it.
//!
//! This module must not be public: its names and shapes are wit-bindgen's.
#![allow(missing_docs, unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    inline: "
        package sandpool:sdk;
        world sdk {
            import sandpool:task/log@0.1.0;
            import sandpool:task/context@0.1.0;
        }
    ",
    path: "wit",
    world: "sandpool:sdk/sdk",
    generate_all,
});
