//! What tests and benches measure with. Each part starts the real thing on free ports or in a place
//! of its own, and stops it when it is dropped.
