//! A partition's own queue.
//!
//! The client's wrapper makes an allocation for each record, and panics at a header whose name is not UTF-8. What takes many records at a time
//! from the client counts the end of a partition as a record: where a group moves partitions, it would be fetched one too far.

use std::ffi::{CStr, CString, c_void};
use std::mem;
use std::ptr;
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as native;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use tamis_engine::Waker;

use super::client::Reader;

/// A partition's queue. It does not outlive its consumer.
pub(super) struct PartitionQueue {
    queue: *mut native::rd_kafka_queue_t,
    /// What was taken last, or null.
    message: *mut native::rd_kafka_message_t,
    consumer: Arc<Reader>,
    topic: CString,
    number: i32,
    /// Whom the client wakes: it has the place of it as long as the queue is there.
    waker: Option<Arc<Waker>>,
}

// SAFETY: queues and messages of the client belong to no thread; `&mut self` keeps two threads from using them at once.
unsafe impl Send for PartitionQueue {}

/// What came out of a queue.
pub(super) enum Arrived<'a> {
    /// A record.
    Record(Record<'a>),
    /// Everything before this offset is all that there is for now. Behind the last record there may be marks of transactions.
    End(i64),
    /// Something went wrong.
    Failed(RDKafkaErrorCode, String),
}

/// A record in the client's memory.
pub(super) struct Record<'a>(&'a native::rd_kafka_message_t);

impl PartitionQueue {
    /// The queue of a partition that is not assigned yet: from then on its records come here and go no other way. None when the
    /// name is none.
    pub fn new(consumer: &Arc<Reader>, topic: &str, number: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client lives as long as `consumer`, and the name ends in a zero.
        let queue =
            unsafe { native::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), number) };
        if queue.is_null() {
            return None;
        }
        // SAFETY: the queue is the one that was just given to us.
        unsafe { native::rd_kafka_queue_forward(queue, ptr::null_mut()) };
        Some(Self { queue, message: ptr::null_mut(), consumer: Arc::clone(consumer), topic, number, waker: None })
    }

    /// From now on wakes whoever waits when something comes into the empty queue.
    pub fn wake(&mut self, waker: &Waker) {
        let waker = Arc::new(waker.clone());
        let place = Arc::as_ptr(&waker).cast_mut().cast();
        // SAFETY: the queue is ours. The client calls under the lock of the queue, which it takes here too, and in `drop`: whoever was to be
        // woken before goes when it calls him no more.
        unsafe { native::rd_kafka_queue_cb_event_enable(self.queue, Some(wake), place) };
        self.waker = Some(waker);
    }

    /// The partition's end as the last fetch has shown it; none before the first.
    pub fn end(&self) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client lives as long as `consumer`, and the name ends in a zero.
        let code = unsafe {
            let client = self.consumer.client().native_ptr();
            native::rd_kafka_get_watermark_offsets(client, self.topic.as_ptr(), self.number, &mut low, &mut high)
        };
        (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
    }

    /// What comes next, if anything is there.
    pub fn next(&mut self) -> Option<Arrived<'_>> {
        self.discard();
        // SAFETY: the queue is ours, and so is the message.
        self.message = unsafe { native::rd_kafka_consume_queue(self.queue, 0) };
        // SAFETY: the message is alive until `discard`, which takes `&mut self`.
        let message = unsafe { self.message.as_ref()? };
        Some(match message.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Arrived::Record(Record(message)),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Arrived::End(message.offset),
            error => Arrived::Failed(error.into(), words(message)),
        })
    }

    fn discard(&mut self) {
        let message = mem::replace(&mut self.message, ptr::null_mut());
        if !message.is_null() {
            // SAFETY: it is ours, and nothing borrows from it.
            unsafe { native::rd_kafka_message_destroy(message) };
        }
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        self.discard();
        // SAFETY: the queue is ours, and its consumer is still there. Nobody is woken once it was said that nobody is to be.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            native::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// What the client calls, on a thread of its own.
unsafe extern "C" fn wake(_client: *mut native::rd_kafka_t, waker: *mut c_void) {
    // SAFETY: it is the waker that the client was given with this function, and that is still there.
    unsafe { &*waker.cast::<Waker>() }.wake();
}

impl Record<'_> {
    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    pub fn timestamp(&self) -> Option<i64> {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let timestamp = unsafe { native::rd_kafka_message_timestamp(self.0, &mut kind) };
        let is_there = kind != native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        Some(timestamp).filter(|timestamp| is_there && *timestamp != -1)
    }

    pub fn key(&self) -> Option<&[u8]> {
        // SAFETY: so the client says.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub fn value(&self) -> Option<&[u8]> {
        // SAFETY: so the client says.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Name and value of each header; of one without a value, an empty one.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; what it gives stays its own.
        let found = unsafe { native::rd_kafka_message_headers(self.0, &mut headers) };
        let found = found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let mut indices = 0..usize::MAX;
        std::iter::from_fn(move || {
            let index = if found { indices.next()? } else { return None };
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are alive as long as their message.
            let got = unsafe { native::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut length) };
            if got != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            // SAFETY: the name ends in a zero, the value has that length, and both are alive as long as the message.
            Some(unsafe { (CStr::from_ptr(name).to_bytes(), bytes(value, length).unwrap_or_default()) })
        })
    }
}

/// # Safety
/// `start` is null, or `length` bytes can be read there as long as the result is used.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    Some(unsafe { slice::from_raw_parts(start.cast(), length) })
}

/// What a message that is an error says.
fn words(message: &native::rd_kafka_message_t) -> String {
    // SAFETY: the message is alive, and what it says ends in a zero.
    unsafe {
        let words = native::rd_kafka_message_errstr(message);
        if words.is_null() { String::new() } else { CStr::from_ptr(words).to_string_lossy().into_owned() }
    }
}
