//! One HTTP/1.1 client: connections by origin, time-outs for connect and the whole call, body limits, no redirects, no
//! retries of its own.
