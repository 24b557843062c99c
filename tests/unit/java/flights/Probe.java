package flights;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Calls the job's pure classes for the tests; input on stdin, one result per line. */
public final class Probe {
    private Probe() {}

    public static void main(String[] args) throws IOException {
        byte[] input = System.in.readAllBytes();
        switch (args[0]) {
            case "rows" -> rows(new String(input, StandardCharsets.UTF_8));
            case "tally" -> tally(new String(input, StandardCharsets.UTF_8));
            case "ranges" -> {
                for (int i = 1; i < args.length; i++) {
                    System.out.println(String.join("|", linesOfRanges(input, Integer.parseInt(args[i]))));
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** For each line of the input the tally of that flight, or "refused". */
    private static void rows(String input) {
        for (String line : input.split("\n", -1)) {
            try {
                Flight flight = Flight.parse(line);
                System.out.println(Tally.NONE.plus(flight).toLine(flight.origin(), flight.hour()));
            } catch (BadRowException refused) {
                System.out.println("refused");
            }
        }
    }

    /** One tally of all lines, each of which must be a flight. */
    private static void tally(String input) {
        Tally tally = Tally.NONE;
        for (String line : input.split("\n")) {
            try {
                tally = tally.plus(Flight.parse(line));
            } catch (BadRowException badRow) {
                throw new IllegalArgumentException(badRow);
            }
        }
        System.out.println(tally.toLine("JFK", 5));
    }

    /** The lines of all ranges of this length; each reader is closed after every line and resumed. */
    private static List<String> linesOfRanges(byte[] input, int length) throws IOException {
        List<String> lines = new ArrayList<>();
        for (int start = 0; start < input.length; start += length) {
            int end = Math.min(start + length, input.length);
            LineReader reader = LineReader.ofRange(from(input, start), start, end);
            for (String line = reader.next(); line != null; line = reader.next()) {
                lines.add(line);
                reader = LineReader.resumed(from(input, (int) reader.position()), reader.position(), end);
            }
        }
        return lines;
    }

    private static InputStream from(byte[] input, int start) {
        return new ByteArrayInputStream(input, start, input.length - start);
    }
}
