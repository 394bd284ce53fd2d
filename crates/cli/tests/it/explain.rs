//! `discovery explain`.

use protocol::ErrorCode;

use crate::discovery::{discovery, ends, has, says};

#[tokio::test]
async fn every_code_has_its_page() {
    for code in ErrorCode::ALL {
        let page = says(&["explain", code.as_str()]).await;
        assert_eq!(page, code.page());
        assert!(page.lines().count() > 3, "{page}");
    }
}

#[tokio::test]
async fn an_unknown_code_gives_64_and_the_known_ones() {
    let output = ends(discovery(&["explain", "e42"]), 64).await;
    assert_eq!(output.stdout, "");
    has(&output.stderr, &["\"e42\""]);
    for code in ErrorCode::ALL {
        has(&output.stderr, &[code.as_str()]);
    }
}
