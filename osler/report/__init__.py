"""From a run's folder to what people read: one HTML file, Markdown, and the network as a table and a drawing."""

from osler.report.html import write_report
from osler.report.layers import text_table
from osler.report.markdown import markdown
from osler.report.network import svg

__all__ = ["markdown", "svg", "text_table", "write_report"]
