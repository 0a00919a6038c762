//! Base64 reads back what it wrote, and refuses whatever it would have written otherwise.

use bolero::check;
use oyez_proto::{ErrorKind, Event};

#[test]
fn bytes_come_back() {
    check!().for_each(|bytes: &[u8]| {
        assert_eq!(Event::base64(bytes).decode_base64().as_deref(), Ok(bytes));
    });
}

#[test]
fn one_text_per_bytes() {
    check!().for_each(|input: &[u8]| {
        let text: String = input.iter().map(|byte| SYMBOLS[usize::from(*byte) % SYMBOLS.len()]).collect();
        match Event::data(text.as_str()).decode_base64() {
            Ok(bytes) => assert_eq!(Event::base64(bytes).data_str(), text),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        }
    });
}

/// Few symbols, so that a good part of the texts is base64: those whose low bits are zero or not, padding, strangers.
const SYMBOLS: &[char] = &['A', 'Q', 'g', 'w', 'z', '9', '+', '/', '=', '=', 'B', '-', '\n'];
