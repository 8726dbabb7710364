//! SVG as text: a few shapes, and whatever text is put into them escaped.
//! Knows nothing of what is drawn.

use std::fmt::Write;

/// A picture being drawn; units are pixels, y grows downwards.
#[derive(Debug, Default)]
pub(super) struct Svg {
    text: String,
}

/// Where a text stands, by its baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Svg {
    /// Text that begins at its place, of a class of the style sheet.
    pub(super) fn text(&mut self, at: At, class: &str, text: &str) {
        self.push(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"{class}\">{}</text>\n",
            at.x,
            at.y,
            escaped(text)
        ));
    }

    /// Text that ends at its place.
    pub(super) fn text_before(&mut self, at: At, class: &str, text: &str) {
        self.text(at, &format!("end {class}"), text);
    }

    pub(super) fn rectangle(&mut self, area: Area, class: &str) {
        let Area { x, y, width, height } = area;
        self.push(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"/>\n"
        ));
    }

    pub(super) fn line(&mut self, from: At, to: At, class: &str) {
        self.push(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>\n",
            from.x, from.y, to.x, to.y
        ));
    }

    /// A path, as SVG writes it.
    pub(super) fn path(&mut self, data: &str, class: &str) {
        if !data.is_empty() {
            self.push(format_args!("<path d=\"{data}\" class=\"{class}\"/>\n"));
        }
    }

    /// Draws another one over it.
    pub(super) fn append(&mut self, over: &Svg) {
        self.text.push_str(&over.text);
    }

    /// The whole picture: `style` is a style sheet, `title` is what is read aloud.
    pub(super) fn finish(self, width: f64, height: f64, style: &str, title: &str) -> String {
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" class=\"weir\">\n<title>{title}</title>\n<style>\n{style}</style>\n{}</svg>\n",
            self.text
        )
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// A text as XML and HTML take it, in elements and in quoted attributes. What XML 1.0 (§2.2) has no place for is replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{At, Svg, escaped};

    #[test]
    fn what_xml_would_take_for_its_own_is_escaped() {
        assert_eq!(escaped("a<b>&\"'\u{1}\u{ffff}\n漢"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}\n漢");
        let mut svg = Svg::default();
        svg.text_before(At { x: 1.0, y: 2.0 }, "name", "<x>");
        let text = svg.finish(10.0, 20.0, "", "a & b");
        assert!(text.contains("<text x=\"1.0\" y=\"2.0\" class=\"end name\">&lt;x&gt;</text>"), "{text}");
        assert!(text.contains("<title>a &amp; b</title>") && text.contains("viewBox=\"0 0 10 20\""));
    }
}
