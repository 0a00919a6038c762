//! Bytes as decisions, so that most inputs are nearly right.

/// Reads decisions from the front of an input; behind its end every decision is the first.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Up to `max` of `parts`, joined; now and then a few bytes of the input itself.
    pub(crate) fn join(&mut self, parts: &[&str], max: usize) -> Vec<u8> {
        let mut joined = Vec::new();
        for _ in 0..self.below(max + 1) {
            match self.next() {
                byte @ 250.. => joined.extend_from_slice(self.take(usize::from(byte - 249))),
                byte => joined.extend_from_slice(parts[usize::from(byte) % parts.len()].as_bytes()),
            }
        }
        joined
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
