//! Secrets from files: read again when they change, named when they cannot be.

use std::error::Error as _;

use profile_linker::config::SecretSource;
use profile_linker::upstream::credential::{Credential, header_value};

use super::exchange::secret;

fn file(content: &str) -> (tempfile::NamedTempFile, Credential) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let credential = Credential::new(SecretSource::File(file.path().to_owned()));
    (file, credential)
}

#[test]
fn the_trailing_line_end_does_not_count() {
    for content in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n"] {
        let (_file, credential) = file(content);
        assert!(credential.current().ok().unwrap().same_as(b"s3cret"), "{content:?}");
    }
    let (_file, credential) = file(" inner \n space ");
    assert!(credential.current().ok().unwrap().same_as(b" inner \n space "));
}

#[test]
fn a_changed_file_is_read_again() {
    let (file, credential) = file("first");
    assert!(credential.current().ok().unwrap().same_as(b"first"));
    std::fs::write(file.path(), "longer than first").unwrap();
    assert!(credential.current().ok().unwrap().same_as(b"longer than first"));
    std::fs::write(file.path(), "longer than FIRST").unwrap();
    let written = file.path().metadata().unwrap().modified().unwrap();
    let later = written + std::time::Duration::from_secs(5);
    std::fs::File::options().append(true).open(file.path()).unwrap().set_modified(later).unwrap();
    assert!(credential.current().ok().unwrap().same_as(b"longer than FIRST"));
}

#[test]
fn a_file_that_is_moved_over_the_old_one_is_read_however_alike_they_look() {
    let (file, credential) = file("first");
    assert!(credential.current().ok().unwrap().same_as(b"first"));
    let written = file.path().metadata().unwrap().modified().unwrap();
    let other = file.path().with_extension("new");
    std::fs::write(&other, "other").unwrap();
    std::fs::File::options().append(true).open(&other).unwrap().set_modified(written).unwrap();
    std::fs::rename(other, file.path()).unwrap();
    assert!(credential.current().ok().unwrap().same_as(b"other"));
}

#[test]
fn an_unusable_file_is_named_and_its_content_is_not() {
    for content in ["", "\n", &"s3cret".repeat(20_000)] {
        let (file, credential) = file(content);
        let error = credential.current().err().unwrap();
        assert!(error.to_string().contains(&file.path().display().to_string()));
        assert!(!error.to_string().contains("s3cret"));
    }
    let (file, credential) = file("s3cret");
    let path = file.path().to_owned();
    drop(file);
    let error = credential.current().err().unwrap();
    assert!(error.to_string().contains(&path.display().to_string()) && error.source().is_some());
}

#[test]
fn a_secret_that_no_header_may_hold_is_refused_unquoted() {
    let error = header_value("Bearer ", &secret("a\nb"), "loanpro token").err().unwrap();
    assert_eq!(error.to_string(), "the loanpro token holds characters that cannot be sent");
    let value = header_value("Bearer ", &secret("ab"), "loanpro token").ok().unwrap();
    assert!(value.is_sensitive() && !format!("{value:?}").contains("ab"));
}
