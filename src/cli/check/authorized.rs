//! Which operations the broker allows us on topics and the group. librdkafka can ask, rdkafka's safe interface cannot, so
//! this is a file of unsafe code.
//!
//! Properties: every object that librdkafka gives is destroyed by the guard that holds it; what belongs to an event is
//! read before its guard goes; no enumeration of C is taken for one of Rust, since a newer broker may name more.
#![expect(
    unsafe_code,
    reason = "librdkafka's DescribeTopics and DescribeConsumerGroups are in rdkafka's raw bindings only"
)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;

/// What may be done with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// The codes of the operations.
    Operations(Vec<u32>),
    /// The broker refuses even to describe it.
    Refused(RDKafkaErrorCode),
    /// The broker does not tell.
    Untold,
}

/// Codes of operations, as Kafka's protocol has them.
pub const READ: u32 = 3;
/// Likewise.
pub const WRITE: u32 = 4;

struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: librdkafka gave the pointer for us to destroy by this function, once; it is not null.
        unsafe { (self.1)(self.0) }
    }
}

fn guard<T>(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Guard<T>> {
    (!pointer.is_null()).then(|| Guard(pointer, destroy))
}

/// Asks about topics; answers each by name. `None` if no answer came within `limit`.
pub fn topics<C: ClientContext>(
    client: &Client<C>,
    names: &[CString],
    limit: Duration,
) -> Option<Vec<(String, Allowed)>> {
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let asked = Asked::new(client, raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, limit)?;
    // SAFETY: the names live until the end of this function; librdkafka copies them.
    let collection = unsafe { raw::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let collection = guard(collection, raw::rd_kafka_TopicCollection_destroy)?;
    // SAFETY: client, collection, options and queue are alive.
    unsafe { raw::rd_kafka_DescribeTopics(client.native_ptr(), collection.0, asked.options.0, asked.queue.0) };
    let event = asked.answer(limit)?;
    let mut count = 0;
    // SAFETY: the event is a result of DescribeTopics; all that is read of it belongs to it and is copied while it lives.
    unsafe {
        let result = raw::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return None;
        }
        let first = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Some(slice(first, count).iter().map(|topic| topic_allowed(*topic)).collect())
    }
}

/// Asks about a group. `None` if no answer came within `limit`.
pub fn group<C: ClientContext>(client: &Client<C>, name: &CStr, limit: Duration) -> Option<Allowed> {
    let mut pointers = [name.as_ptr()];
    let asked = Asked::new(client, raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, limit)?;
    // SAFETY: client, name, options and queue are alive; librdkafka copies the name.
    unsafe {
        raw::rd_kafka_DescribeConsumerGroups(
            client.native_ptr(),
            pointers.as_mut_ptr(),
            1,
            asked.options.0,
            asked.queue.0,
        );
    }
    let event = asked.answer(limit)?;
    let mut count = 0;
    // SAFETY: the event is a result of DescribeConsumerGroups; all that is read of it belongs to it.
    unsafe {
        let result = raw::rd_kafka_event_DescribeConsumerGroups_result(event.0);
        if result.is_null() {
            return None;
        }
        let first = raw::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let group = *slice(first, count).first()?;
        let error = raw::rd_kafka_ConsumerGroupDescription_error(group);
        let mut operations = 0;
        let codes = raw::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut operations);
        Some(allowed(error, codes.cast(), operations))
    }
}

/// A question to the broker: its options, and where the answer comes.
struct Asked {
    options: Guard<raw::rd_kafka_AdminOptions_t>,
    queue: Guard<raw::rd_kafka_queue_t>,
}

impl Asked {
    fn new<C: ClientContext>(client: &Client<C>, operation: raw::rd_kafka_admin_op_t, limit: Duration) -> Option<Self> {
        // SAFETY: the client is alive; the guards destroy what is made.
        let (options, queue) = unsafe {
            let options = raw::rd_kafka_AdminOptions_new(client.native_ptr(), operation);
            (options, raw::rd_kafka_queue_new(client.native_ptr()))
        };
        let options = guard(options, raw::rd_kafka_AdminOptions_destroy)?;
        let queue = guard(queue, raw::rd_kafka_queue_destroy)?;
        // SAFETY: the options are alive; no text of an error is asked for. An error says that an option does not fit the
        // operation, which these two do; were it so, the answer would lack the operations and say "untold".
        unsafe {
            raw::rd_kafka_AdminOptions_set_request_timeout(options.0, milliseconds(limit), std::ptr::null_mut(), 0);
            let error = raw::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
            drop(guard(error, raw::rd_kafka_error_destroy));
        }
        Some(Self { options, queue })
    }

    fn answer(&self, limit: Duration) -> Option<Guard<raw::rd_kafka_event_t>> {
        // SAFETY: the queue is alive.
        let event = unsafe { raw::rd_kafka_queue_poll(self.queue.0, milliseconds(limit)) };
        guard(event, raw::rd_kafka_event_destroy)
    }
}

fn milliseconds(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX)
}

/// # Safety
/// `first` points at `count` values that live as long as `'a`, or is null.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// # Safety
/// `topic` belongs to an event that is alive.
unsafe fn topic_allowed(topic: *const raw::rd_kafka_TopicDescription_t) -> (String, Allowed) {
    let mut count = 0;
    // SAFETY: the caller's promise; a topic has a name.
    unsafe {
        let name = CStr::from_ptr(raw::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
        let codes = raw::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        (name, allowed(raw::rd_kafka_TopicDescription_error(topic), codes.cast(), count))
    }
}

/// # Safety
/// All of it belongs to an event that is alive, or is null.
unsafe fn allowed(error: *const raw::rd_kafka_error_t, codes: *const u32, count: usize) -> Allowed {
    // SAFETY: the caller's promise; the operations are numbers of 32 bits.
    unsafe {
        if !error.is_null() {
            let code = RDKafkaErrorCode::from(raw::rd_kafka_error_code(error));
            if code != RDKafkaErrorCode::NoError {
                return Allowed::Refused(code);
            }
        }
        if codes.is_null() {
            return Allowed::Untold;
        }
        Allowed::Operations(slice(codes, count).to_vec())
    }
}
