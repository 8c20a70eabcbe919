import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * Runs a script of Flink SQL in this process, to the end of what it inserts.
 *
 * <p>Arguments: the script, then NAME=VALUE for each ${NAME} in it. Statements end in a semicolon at the end of a line; "SET" stands before
 * the others and is obeyed here, because it belongs to Flink's SQL client.
 */
public final class Peer {
    private static final Pattern SETTING = Pattern.compile("SET '(.*)' = '(.*)'");

    public static void main(String[] args) throws Exception {
        String script = Files.readString(Path.of(args[0])).replaceAll("(?m)^\\s*--.*\n", "");
        for (String arg : Arrays.asList(args).subList(1, args.length)) {
            String[] parts = arg.split("=", 2);
            script = script.replace("${" + parts[0] + "}", parts[1]);
        }
        Configuration settings = new Configuration();
        TableEnvironment tables = null;
        for (String statement : script.strip().split(";\\s*(\n|$)")) {
            var setting = SETTING.matcher(statement.strip());
            if (setting.matches()) {
                settings.setString(setting.group(1), setting.group(2));
                continue;
            }
            if (tables == null) {
                tables = TableEnvironment.create(
                        EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
            }
            TableResult result = tables.executeSql(statement);
            if (result.getJobClient().isPresent()) {
                result.await();
            } else if (statement.strip().startsWith("EXPLAIN")) {
                result.print();
            }
        }
    }
}
