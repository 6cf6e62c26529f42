//! Keeps `bindings/wire.ts` fresh. `UPDATE_GOLDEN=1` writes it anew.

#[test]
fn bindings_are_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/bindings/wire.ts");
    let fresh = neartalk_shared::typescript::export().unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == fresh,
        "{path} is stale; run the tests with UPDATE_GOLDEN=1 and commit it"
    );
}
