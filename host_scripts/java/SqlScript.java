package flinkhost;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A SQL script as statements, in the way of sql-client.sh (settings/sql_script.py does the same for a preview). */
final class SqlScript {
  private static final Pattern PART =
      Pattern.compile("--[^\\n]*|/\\*.*?(?:\\*/|$)|'(?:[^']|'')*'|`(?:[^`]|``)*`|\"[^\"]*\"|;", Pattern.DOTALL);
  private static final Pattern BEGIN =
      Pattern.compile("(?:EXECUTE\\s+)?(?:BEGIN\\s+STATEMENT\\s+SET|STATEMENT\\s+SET\\s+BEGIN)\\b.*", Pattern.DOTALL | Pattern.CASE_INSENSITIVE);
  private static final Pattern PLAN =
      Pattern.compile("COMPILE\\s.*STATEMENT\\s+SET\\s+BEGIN\\b.*", Pattern.DOTALL | Pattern.CASE_INSENSITIVE);
  private static final Pattern END = Pattern.compile(".*;\\s*END", Pattern.DOTALL | Pattern.CASE_INSENSITIVE);
  private static final Pattern OLD = Pattern.compile("^BEGIN\\s+STATEMENT\\s+SET\\s*;", Pattern.CASE_INSENSITIVE);

  private SqlScript() {}

  /** The statements, without comments (hints stay) and without the semicolon at the end. */
  static List<String> statements(String script) {
    List<String> found = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    Matcher part = PART.matcher(script);
    while (part.find()) {
      String what = part.group();
      boolean comment = what.startsWith("--") || (what.startsWith("/*") && !what.startsWith("/*+"));
      part.appendReplacement(text, Matcher.quoteReplacement(comment ? " " : what));
      if (what.equals(";") && !isOpen(text.substring(0, text.length() - 1).trim())) {
        add(found, text.substring(0, text.length() - 1));
        text.setLength(0);
      }
    }
    part.appendTail(text);
    add(found, text.toString());
    return found;
  }

  private static boolean isOpen(String text) {
    return (BEGIN.matcher(text).matches() || PLAN.matcher(text).matches()) && !END.matcher(text).matches();
  }

  private static void add(List<String> found, String text) {
    if (!text.isBlank()) {
      found.add(OLD.matcher(text.trim()).replaceFirst("EXECUTE STATEMENT SET BEGIN"));
    }
  }
}
