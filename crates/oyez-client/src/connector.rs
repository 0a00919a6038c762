//! How an EventSource or a Publisher connects: as it is told, or as this build can by itself.

use std::sync::Arc;

use crate::{Connect, Error};

#[derive(Default)]
pub(crate) struct Connector(Option<Arc<dyn Connect>>);

impl Connector {
    pub(crate) fn of(connect: impl Connect) -> Self {
        Self(Some(Arc::new(connect)))
    }

    pub(crate) fn build(self) -> Result<Arc<dyn Connect>, Error> {
        self.0.map_or_else(by_itself, Ok)
    }
}

#[cfg(feature = "reqwest")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is none")]
fn by_itself() -> Result<Arc<dyn Connect>, Error> {
    Ok(Arc::new(crate::HttpConnect::new()))
}

#[cfg(not(feature = "reqwest"))]
fn by_itself() -> Result<Arc<dyn Connect>, Error> {
    Err(Error::invalid("nothing says how to connect: set `connect`, or turn on the feature `reqwest`"))
}

#[cfg(all(test, not(feature = "reqwest")))]
mod tests {
    use crate::{ErrorKind, EventSource, Publisher};

    #[test]
    fn without_a_way_to_connect_there_is_an_error_that_names_both() {
        let told = "nothing says how to connect: set `connect`, or turn on the feature `reqwest`";
        let source = EventSource::builder("http://h/").unwrap().build().unwrap_err();
        let publisher = Publisher::builder("http://h/").unwrap().build().unwrap_err();
        for error in [source, publisher] {
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, told));
        }
    }
}
