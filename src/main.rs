//! `profile-linker`: arguments -> command -> exit code. The only place that ends the process.

#[expect(clippy::disallowed_methods, reason = "the one place that ends the process")]
fn main() {
    std::process::exit(profile_linker::cli::main().code())
}
