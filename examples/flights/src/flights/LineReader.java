package flights;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/**
 * Reads the lines of one byte range of a file, so that each line of the file is read in exactly one range: a line belongs
 * to the range in which the line feed before it ends, the first line to the first range. A range that starts
 * inside the file therefore skips to the first line feed, and reads on as long as a line starts at or before its end.
 */
final class LineReader implements Closeable {
    private final InputStream in;
    private final byte[] buffer = new byte[64 * 1024];
    private final long end;
    private int at;
    private int filled;
    private long position;

    private LineReader(InputStream in, long position, long end) {
        this.in = in;
        this.position = position;
        this.end = end;
    }

    /** A reader of the range from {@code start}, where the stream stands, to {@code end}, exclusive; bytes. */
    static LineReader ofRange(InputStream in, long start, long end) throws IOException {
        LineReader reader = new LineReader(in, start, end);
        if (start > 0) {
            reader.next();
        }
        return reader;
    }

    /** A reader that goes on at {@code position}, a value of {@link #position}, where the stream stands. */
    static LineReader resumed(InputStream in, long position, long end) {
        return new LineReader(in, position, end);
    }

    /** Offset in the file of the first byte that {@link #next} has not read, in bytes. */
    long position() {
        return position;
    }

    /** The next line without its line feed, or null after the last line of the range. */
    String next() throws IOException {
        if (position > end || !fill()) {
            return null;
        }
        ByteArrayOutputStream line = new ByteArrayOutputStream(128);
        do {
            int from = at;
            while (at < filled && buffer[at] != '\n') {
                at++;
            }
            line.write(buffer, from, at - from);
            position += at - from;
            if (at < filled) {
                at++;
                position++;
                break;
            }
        } while (fill());
        return line.toString(StandardCharsets.UTF_8);
    }

    private boolean fill() throws IOException {
        if (at < filled) {
            return true;
        }
        at = 0;
        filled = Math.max(0, in.read(buffer));
        return filled > 0;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
