//! The id that tells a topic from another of the same name, one that was deleted before it was made, say. Only the C
//! interface tells it.
#![expect(unsafe_code, reason = "topic ids are to be had from the C interface only")]

use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::{KafkaTrouble, KnownTopic};

/// What brokers before 2.8 answer: they have no such ids.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Which topic it is; `None` where the broker has no ids of topics. Blocks, `limit` at most.
///
/// # Errors
/// The broker does not answer, or the topic is not there.
pub fn known_topic<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    limit: Duration,
) -> Result<Option<KnownTopic>, KafkaTrouble> {
    let name = CString::new(topic).map_err(|_| KafkaTrouble("the topic's name holds a zero".to_owned()))?;
    let client = consumer.client().native_ptr();
    let millis = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    let answer = ask(client, &name, millis)?;
    let topic = told(&answer)?;
    Ok((topic.id != NONE).then_some(topic))
}

/// An object of the library; destroyed when dropped.
struct Owned<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// `object` is ours from here on, and `destroy` is what the library destroys its kind with.
    fn new(object: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, KafkaTrouble> {
        let object =
            NonNull::new(object).ok_or_else(|| KafkaTrouble("the client gave no answer in time".to_owned()))?;
        Ok(Self { object, destroy })
    }

    fn get(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the object is ours, of the kind that `destroy` destroys, and nothing refers to it after its owner.
        unsafe { (self.destroy)(self.object.as_ptr()) };
    }
}

/// Asks for one topic's description and waits for the answer.
fn ask(client: *mut c::rd_kafka_t, name: &CStr, millis: c_int) -> Result<Owned<c::rd_kafka_event_t>, KafkaTrouble> {
    let mut names = [name.as_ptr()];
    // SAFETY: the caller keeps the client alive; every object made here is destroyed at the end of this function, in the
    // reverse order, after its last use; the library copies the names and the options. A null error text is allowed.
    unsafe {
        let queue = Owned::new(c::rd_kafka_queue_new(client), c::rd_kafka_queue_destroy)?;
        let topics = Owned::new(
            c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            c::rd_kafka_TopicCollection_destroy,
        )?;
        let options = Owned::new(
            c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            c::rd_kafka_AdminOptions_destroy,
        )?;
        c::rd_kafka_AdminOptions_set_request_timeout(options.get(), millis, std::ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(client, topics.get(), options.get(), queue.get());
        Owned::new(c::rd_kafka_queue_poll(queue.get(), millis), c::rd_kafka_event_destroy)
    }
}

/// The topic in an answer.
fn told(answer: &Owned<c::rd_kafka_event_t>) -> Result<KnownTopic, KafkaTrouble> {
    // SAFETY: the answer outlives this function, and everything that is read here belongs to it; texts are copied.
    unsafe {
        if c::rd_kafka_event_error(answer.get()) != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaTrouble(text(c::rd_kafka_event_error_string(answer.get()))));
        }
        let result = c::rd_kafka_event_DescribeTopics_result(answer.get());
        let mut count = 0;
        let none = || KafkaTrouble("the broker described no topic".to_owned());
        if result.is_null() {
            return Err(none());
        }
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 || (*topics).is_null() {
            return Err(none());
        }
        let error = c::rd_kafka_TopicDescription_error(*topics);
        if !error.is_null() && c::rd_kafka_error_code(error) != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaTrouble(text(c::rd_kafka_error_string(error))));
        }
        let id = c::rd_kafka_TopicDescription_topic_id(*topics);
        if id.is_null() {
            return Err(none());
        }
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(*topics, &raw mut partitions);
        // A topic that is being made has none for a moment.
        let partitions = i32::try_from(partitions).ok().filter(|count| *count > 0);
        Ok(KnownTopic { id: text(c::rd_kafka_Uuid_base64str(id)), partitions })
    }
}

/// # Safety
/// `text` is null or ends with a zero, and lives as long as this call.
unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and otherwise as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
