//! The message at the start: what is on, who may call, and the commands to paste next.

use std::io::IsTerminal;

use oyez_server::Config;
use serde_json::{Value, json};

/// The state of a hub in words.
#[derive(Debug)]
pub(crate) struct Banner {
    history: String,
    demo: bool,
    page: bool,
    anonymous_publish: bool,
}

impl Banner {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            history: config.history_in_words(),
            demo: config.demo(),
            page: config.page,
            anonymous_publish: config.anonymous_publish,
        }
    }

    /// For a person.
    pub(crate) fn text(&self, url: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        // a terminal has just shown the address, by the lines on standard output
        let mut lines = vec![match std::io::stdout().is_terminal() {
            true => format!("Oyez {version}"),
            false => format!("Oyez {version} on {url}"),
        }];
        if self.page {
            lines.push(format!("  page       {url}/"));
        }
        lines.push(format!("  subscribe  curl -N {url}/events/news"));
        if self.anonymous_publish {
            lines.push(format!("  publish    curl -d hello {url}/events/news"));
        }
        if self.demo {
            lines.push(format!("  demo       curl -N {url}/clock"));
        }
        lines.push(format!("  {}", self.history));
        lines.push(format!("  {}", self.publishing().replace("; ", ";\n  ")));
        lines.push(String::new());
        lines.join("\n")
    }

    /// The same as fields.
    pub(crate) fn fields(&self, url: &str, admin: &str) -> Value {
        json!({
            "message": "started", "version": env!("CARGO_PKG_VERSION"), "url": url, "admin": admin, "page": self.page,
            "demo": self.demo, "history": self.history, "publishing": self.publishing(),
        })
    }

    fn publishing(&self) -> &'static str {
        match self.anonymous_publish {
            true => {
                "any program on this machine may publish and subscribe; \
                     through a proxy everybody may subscribe, and publish too unless it sends X-Forwarded-For"
            }
            false => "nobody may publish: public_urls is set, and this version has no keys; leave public_urls out",
        }
    }
}
