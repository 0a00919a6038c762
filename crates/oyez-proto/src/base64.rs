//! RFC 4648 base64, standard alphabet, padded. Here because this crate stands on `bytes` and `memchr` alone.

use crate::Error;

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let sextet = bits >> (18 - 6 * at) & 0x3f;
            text.push(if at <= group.len() { symbol(sextet) } else { '=' });
        }
    }
    text
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let bytes = text.as_bytes();
    if bytes.len() % 4 != 0 {
        return Err(Error::invalid(format!(
            "base64 is padded to a multiple of 4 characters, this has {}",
            bytes.len()
        )));
    }
    let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    for (index, group) in bytes.chunks(4).enumerate() {
        let last = (index + 1) * 4 == bytes.len();
        let symbols = if last { 4 - padding } else { 4 };
        let mut bits = 0_u32;
        for (at, byte) in group.iter().enumerate() {
            let sextet = if at < symbols { value(*byte) } else { Some(0) };
            let Some(sextet) = sextet else {
                return Err(Error::invalid(format!("not base64 at byte {}: {:?}", index * 4 + at, char::from(*byte))));
            };
            bits = bits << 6 | sextet;
        }
        let decoded = bits.to_be_bytes();
        out.extend(decoded.iter().skip(1).take(symbols - 1));
        // bits that the padding cuts off must be zero, or two texts would decode to the same bytes
        if decoded.iter().skip(symbols).any(|byte| *byte != 0) {
            return Err(Error::invalid("base64 has bits set after its padding"));
        }
    }
    Ok(out)
}

fn symbol(sextet: u32) -> char {
    let byte = u8::try_from(sextet).expect("six bits");
    char::from(match byte {
        0..=25 => b'A' + byte,
        26..=51 => b'a' + byte - 26,
        52..=61 => b'0' + byte - 52,
        62 => b'+',
        _ => b'/',
    })
}

fn value(symbol: u8) -> Option<u32> {
    Some(u32::from(match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for bad in ["Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9\n", "Zm-_", "Zh==", "Zm9="] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
