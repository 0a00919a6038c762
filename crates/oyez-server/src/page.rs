//! The page at `/`: one file, and the policy that lets nothing but its own script and style run.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// The page and the headers that belong to it.
pub(crate) struct Page {
    pub(crate) html: Bytes,
    /// `Content-Security-Policy`. Pictures may be written into the page, as its icon is, and come from nowhere else.
    pub(crate) csp: HeaderValue,
}

/// The page, made at the first call.
pub(crate) fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| Page { html: Bytes::from_static(HTML.as_bytes()), csp: policy(HTML) })
}

/// The answer at `/` when the page is off.
pub(crate) const OFF_TEXT: &str =
    "Oyez, a hub for Server-Sent Events. The page is off; subscribe at /events, publish at /events/TOPIC.\n";

/// `Content-Security-Policy` for `html`, which has one inline script and one inline style.
fn policy(html: &str) -> HeaderValue {
    let script = hash(inline(html, "script"));
    let style = hash(inline(html, "style"));
    let policy = format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("base64 and the words around it are header text")
}

/// What stands between `<tag>` and `</tag>`.
fn inline<'a>(html: &'a str, tag: &str) -> &'a str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let (_, rest) = html.split_once(&open).expect("the page has one script and one style, without attributes");
    rest.split_once(&close).expect("every element of the page is closed").0
}

fn hash(text: &str) -> String {
    // a checkout may have made CRLF of the line ends; the parser hashes what it has made LF of again
    let digest = Sha256::digest(text.replace("\r\n", "\n"));
    format!("sha256-{}", STANDARD.encode(digest))
}

const HTML: &str = include_str!("page/index.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_names_the_hash_of_the_one_script_and_the_one_style() {
        let policy = policy("<style>a</style><script>b</script>");
        let expected = "default-src 'none'; script-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='; \
                        style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='; connect-src 'self'; \
                        img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        assert_eq!(policy, expected);
    }

    #[test]
    fn line_ends_of_the_checkout_do_not_change_the_policy() {
        assert_eq!(hash("a\nb\n"), hash("a\r\nb\r\n"));
    }

    #[test]
    fn page_has_nothing_that_its_policy_refuses() {
        assert_eq!(HTML.matches("<script").count(), 1, "one script");
        assert_eq!(HTML.matches("<style").count(), 1, "one style");
        let markup = HTML.replace(inline(HTML, "script"), "").replace(inline(HTML, "style"), "");
        let (_, icon) = markup.split_once("<link rel=\"icon\" href=\"").expect("an icon");
        let (icon, _) = icon.split_once("\">").expect("the icon is closed");
        assert!(icon.starts_with("data:image/svg+xml,"), "{icon}");
        let markup = markup.replace(&format!("<link rel=\"icon\" href=\"{icon}\">"), "");
        for refused in [" style=", " onclick=", " src=", "<link", "<img", "<iframe", "http:", "https:", "data:"] {
            assert!(!markup.contains(refused), "{refused}");
        }
        assert!(!inline(HTML, "style").contains("url("));
    }

    #[test]
    fn page_shows_foreign_text_as_text_only() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!HTML.contains(way), "{way}");
        }
    }

    #[test]
    fn page_stays_small() {
        assert!(HTML.len() <= 100_000, "{} bytes", HTML.len());
    }

    #[test]
    fn page_names_its_language() {
        assert!(HTML.starts_with("<!doctype html>\n<html lang=\"en\">"));
    }

    #[test]
    fn page_that_is_off_says_so_in_one_line() {
        assert!(OFF_TEXT.ends_with('\n'));
        assert_eq!(OFF_TEXT.lines().count(), 1);
    }

    #[test]
    fn page_is_made_once() {
        assert_eq!(page().html, HTML);
        assert!(std::ptr::eq(page(), page()));
    }
}
