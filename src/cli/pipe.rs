//! Noticing that nobody reads our output any more, as in `watch | head -1`: a write would tell, but there may be nothing
//! to write for hours.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Ends when the other end of stdout's pipe is closed; never where stdout is no pipe.
pub(super) async fn reader_is_gone() {
    let (gone, told) = tokio::sync::oneshot::channel();
    // A thread of its own, since it may wait as long as the process lives, and dies with it.
    std::thread::spawn(move || {
        if waits_until_closed() {
            // Nobody listens any more: the command has ended by itself.
            let _ = gone.send(());
        }
    });
    if told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Asked for nothing, `poll` tells of errors only, and a pipe without a reader is one.
fn waits_until_closed() -> bool {
    let stdout = std::io::stdout();
    loop {
        let mut places = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut places, None) {
            Ok(_) => return places[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
