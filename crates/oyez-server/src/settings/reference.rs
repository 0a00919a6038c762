//! All that is known of each setting, for the documentation.

use std::fmt::Write as _;

use super::setting::{Setting, Unsaid};
use super::table::SETTINGS;
use super::written::Kind;

/// Every setting with its names, its default and what else there is to know, as Markdown.
#[must_use]
pub fn settings_reference() -> String {
    SETTINGS.iter().map(section).collect::<Vec<_>>().join("\n")
}

fn section(setting: &Setting) -> String {
    let mut section = format!("### `{}`\n\n{}.\n", setting.key, setting.summary());
    let details = setting.details();
    if !details.is_empty() {
        let _ = writeln!(section, "{details}");
    }
    let _ = writeln!(section, "\n- {}", places(setting));
    if let Unsaid::Is(default) | Unsaid::Depends(default) = setting.default {
        let _ = writeln!(section, "- default: {default}");
    }
    let reload = if setting.reload { "a change needs a SIGHUP" } else { "a change needs a restart" };
    let _ = writeln!(section, "- {reload}");
    section
}

/// Where it may be said.
fn places(setting: &Setting) -> String {
    let Some(variable) = setting.variable() else {
        return format!("only in the file, as `[[{}]]`", setting.key);
    };
    let flag = match setting.kind {
        Kind::List => format!("{} (may be repeated)", code(setting.flag)),
        _ => code(setting.flag),
    };
    let variables: Vec<_> = std::iter::once(&*variable).chain(setting.also.iter().copied()).map(code).collect();
    format!("{flag}, {}, {} in the file", variables.join(" or "), code(setting.key))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_has_every_setting_with_all_that_is_known_of_it() {
        let reference = settings_reference();
        assert_eq!(reference.matches("### ").count(), SETTINGS.len());
        let keep_alive = "### `keep_alive`\n\nSend a keep-alive after this much silence.\nProxies cut idle connections, some \
                          after 30 s. Two keep-alives fit into that.\n\n- `--keep-alive TIME`, `OYEZ_KEEP_ALIVE`, \
                          `keep_alive` in the file\n- default: 15s\n- a change needs a restart\n";
        assert!(reference.contains(keep_alive), "{reference}");
        assert!(
            reference.contains("`log_level` in the file\n- default: info\n- a change needs a SIGHUP\n"),
            "{reference}"
        );
        let class = "\n- only in the file, as `[[class]]`\n- a change needs a restart\n";
        assert!(reference.contains(class), "{reference}");
        assert!(
            reference.contains("- `--public-url URL` (may be repeated), `OYEZ_PUBLIC_URLS` or `OYEZ_PUBLIC_URL`, ")
        );
    }
}
